//! The targets beneath a target.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use tokio_util::sync::CancellationToken;

/// Running targets by what tells them apart, each with what ends it. Dropping the whole ends all.
#[derive(Debug)]
pub(super) struct Children<K>(BTreeMap<K, CancellationToken>);

impl<K> Default for Children<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord> Children<K> {
    /// Whether none is running.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Ends those that are not wanted any more, and starts those that are new.
    pub(super) fn reconcile<T>(
        &mut self,
        parent: &CancellationToken,
        wanted: BTreeMap<K, T>,
        mut start: impl FnMut(T, CancellationToken),
    ) {
        self.keep(|id| wanted.contains_key(id));
        for (id, what) in wanted {
            if let Entry::Vacant(place) = self.0.entry(id) {
                let stop = parent.child_token();
                place.insert(stop.clone());
                start(what, stop);
            }
        }
    }

    /// Ends those that are not wanted any more.
    pub(super) fn keep(&mut self, is_wanted: impl Fn(&K) -> bool) {
        self.0.retain(|id, stop| {
            let stays = is_wanted(id);
            if !stays {
                stop.cancel();
            }
            stays
        });
    }

    /// Which are running.
    pub(super) fn ids(&self) -> impl Iterator<Item = &K> {
        self.0.keys()
    }
}

impl<K> Drop for Children<K> {
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
