//! File descriptors: as many as the system allows, of which connections leave enough for the ledger and the service's API.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// For the ledger, its copies and explanations, connections to the service, and what the system takes.
const RESERVE: u64 = 64;

/// Lifts this process's limit as far as it may, as programs in Go do: the usual one is for programs of another kind.
pub(super) fn raise() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::debug!(%error, "the limit of file descriptors stays as it is");
    }
}

/// How many connections there may be at a time, of those that the settings want.
pub(super) fn connections_max(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    let possible = possible(limit);
    if possible < wanted {
        tracing::warn!(
            "at most {possible} connections at a time, not web.max_connections: the system allows {} file descriptors; \
             raise that (LimitNOFILE=, ulimit -n), or lower web.max_connections",
            limit.unwrap_or(u64::MAX)
        );
    }
    wanted.min(possible)
}

fn possible(limit: Option<u64>) -> usize {
    let left = limit.map_or(u64::MAX, |limit| limit.saturating_sub(RESERVE).max(limit / 2));
    usize::try_from(left).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_the_rest() {
        let possible = [Some(1_024), Some(128), Some(100), Some(1), None].map(possible);
        assert_eq!(possible, [960, 64, 50, 0, usize::MAX]);
    }

    #[test]
    fn the_limit_is_raised_to_the_highest() {
        raise();
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        assert_eq!(current, maximum);
        assert_eq!(connections_max(1), 1);
    }
}
