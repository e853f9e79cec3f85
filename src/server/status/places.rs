//! Where something is, in few words: names first, their ids on a quieter line, account and region only where there is more
//! than one. Invariant: a queue is named in one way wherever it stands, and leads to what its counter is made of.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};

use super::text::{Escaped, Short, in_query, written};
use super::{Place, Status, TargetRow};

/// The counter that consumers are ordered by.
pub(in crate::server) const COUNTER: &str = "emr_serverless_spark_livy_cu_seconds_total";

/// What a place has to name so that no two are the same.
#[derive(Clone, Copy, Debug)]
pub(super) struct Naming {
    /// Whether there are several accounts.
    account: bool,
    /// Whether there are several regions.
    region: bool,
}

impl Naming {
    pub(super) fn of(status: &Status) -> Self {
        Self { account: accounts(status).len() > 1, region: regions(status).len() > 1 }
    }

    /// Account and region, so far as they tell something.
    fn scope<'a>(self, place: &'a Place, region: Option<&'a str>) -> impl Iterator<Item = &'a str> {
        let account = self.account.then_some(place.account.as_str());
        account.into_iter().chain(region.filter(|_| self.region))
    }

    /// Where something is, from the inside out; below it the ids.
    pub(super) fn place<'a>(self, place: &'a Place, region: Option<&'a str>) -> impl Display + 'a {
        written(move |f| {
            write!(f, "{}", self.names(place, region))?;
            ids(f, [(&place.livy_gateway_name, &place.livy_compute_id), of_workspace(place)])
        })
    }

    /// Where something is, from the inside out, without the ids.
    pub(super) fn names<'a>(self, place: &'a Place, region: Option<&'a str>) -> impl Display + 'a {
        written(move |f| {
            let mut separator = "";
            for (name, id) in [(&place.livy_gateway_name, &place.livy_compute_id), of_workspace(place)] {
                if !id.is_empty() {
                    write!(f, "{separator}{}", named(name, id))?;
                    separator = " <span class=\"soft\">in</span> ";
                }
            }
            // A list of workspaces is nowhere else.
            let (naming, mut separator) = match separator {
                "" => (Self { account: true, region: true }, ""),
                _ => (self, ", "),
            };
            for part in naming.scope(place, region) {
                write!(f, "<span class=\"soft\">{separator}<bdi>{}</bdi></span>", Escaped(Short(part)))?;
                separator = ", ";
            }
            Ok(())
        })
    }

    /// What heads the targets of a workspace.
    pub(super) fn workspace<'a>(self, target: &'a TargetRow) -> impl Display + 'a {
        written(move |f| {
            let (name, id) = of_workspace(&target.place);
            write!(f, "<span class=\"name\">{}</span>", named(name, id))?;
            for part in self.scope(&target.place, Some(&target.region)) {
                write!(f, " <span class=\"soft\"><bdi>{}</bdi></span>", Escaped(Short(part)))?;
            }
            Ok(())
        })
    }
}

fn of_workspace(place: &Place) -> (&String, &String) {
    (&place.workspace_name, &place.workspace_id)
}

/// The accounts that are watched, in order.
pub(super) fn accounts(status: &Status) -> BTreeSet<&str> {
    status.watched.scopes.iter().map(|scope| scope.account.as_str()).collect()
}

/// The regions that are watched, in order.
pub(super) fn regions(status: &Status) -> BTreeSet<&str> {
    status.watched.scopes.iter().map(|scope| scope.region.as_str()).collect()
}

/// A name, or the id of what has none; cut where it is long.
pub(in crate::server) fn named<'a>(name: &'a str, id: &'a str) -> impl Display + 'a {
    let text = if name.is_empty() { id } else { name };
    written(move |f| write!(f, "<bdi>{}</bdi>", Escaped(Short(text))))
}

/// The ids on a line of their own: those that stand behind a name.
pub(super) fn ids<const N: usize>(f: &mut Formatter<'_>, named: [(&String, &String); N]) -> fmt::Result {
    let behind = || named.iter().filter(|(name, id)| !name.is_empty() && !id.is_empty());
    if behind().next().is_none() {
        return Ok(());
    }
    f.write_str("<small class=\"ids\">")?;
    for (index, (_, id)) in behind().enumerate() {
        let separator = if index > 0 { " " } else { "" };
        write!(f, "{separator}<code>{}</code>", Escaped(id))?;
    }
    f.write_str("</small>")
}

/// A queue as a link to what its counter is made of.
pub(super) fn queue<'a>(place: &'a Place, queue: &'a str) -> impl Display + 'a {
    let name = if queue.is_empty() { "(no queue)" } else { queue };
    written(move |f| {
        write!(
            f,
            "<a href=\"{}\"><bdi>{}</bdi></a>",
            Escaped(explanation(&place.workspace_id, &place.livy_compute_id, queue)),
            Escaped(Short(name)),
        )
    })
}

/// Where the page is that tells what the counter of a queue is made of.
fn explanation<'a>(workspace_id: &'a str, livy_compute_id: &'a str, queue: &'a str) -> impl Display + 'a {
    written(move |f| {
        write!(
            f,
            "/api/v1/series?metric={COUNTER}&workspace_id={}&livy_compute_id={}&queue={}&format=html",
            in_query(workspace_id),
            in_query(livy_compute_id),
            in_query(queue),
        )
    })
}
