//! The targets beneath a target.

use std::collections::BTreeMap;

use tokio_util::sync::CancellationToken;

/// Running targets by id, each with what ends it. Dropping the whole ends all.
#[derive(Debug, Default)]
pub(super) struct Children(BTreeMap<String, CancellationToken>);

impl Children {
    /// Whether none is running.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Ends those that are not wanted any more, and starts those that are new.
    pub(super) fn reconcile<T>(
        &mut self,
        parent: &CancellationToken,
        wanted: BTreeMap<&str, T>,
        mut start: impl FnMut(T, CancellationToken),
    ) {
        self.0.retain(|id, stop| {
            let stays = wanted.contains_key(id.as_str());
            if !stays {
                stop.cancel();
            }
            stays
        });
        for (id, what) in wanted {
            if !self.0.contains_key(id) {
                let stop = parent.child_token();
                self.0.insert(id.to_owned(), stop.clone());
                start(what, stop);
            }
        }
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        self.0.values().for_each(CancellationToken::cancel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_starts_and_what_is_gone_ends() {
        let parent = CancellationToken::new();
        let mut children = Children::default();
        let mut started: Vec<(String, CancellationToken)> = Vec::new();
        for wanted in [vec!["a", "b"], vec!["b", "c"], vec!["b", "c"]] {
            let wanted = wanted.into_iter().map(|id| (id, id.to_owned())).collect();
            children.reconcile(&parent, wanted, |id, stop| started.push((id, stop)));
        }
        let ids: Vec<&str> = started.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids, ["a", "b", "c"]);
        let ended: Vec<bool> = started.iter().map(|(_, stop)| stop.is_cancelled()).collect();
        assert_eq!(ended, [true, false, false]);
        drop(children);
        assert!(started.iter().all(|(_, stop)| stop.is_cancelled()));
        assert!(!parent.is_cancelled());
    }
}
