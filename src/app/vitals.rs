//! What is told of the ledger, its copies, the keys and the settings, kept for the status page.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::UnixMillis;
use crate::config::Collectors;
use crate::model::{ScopeId, TargetKind};

/// See the module.
#[derive(Debug)]
pub(super) struct Vitals {
    pub(super) started: UnixMillis,
    facts: Mutex<Facts>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub(super) last_commit: Option<UnixMillis>,
    pub(super) commits_failing_since: Option<UnixMillis>,
    /// Since when copies of the ledger fail, and why the latest one did.
    pub(super) backups_failing: Option<(UnixMillis, String)>,
    /// By account: the keys that it has.
    pub(super) keys: BTreeMap<String, Keys>,
    /// What is polled, by the settings.
    pub(super) polled: Vec<TargetKind>,
}

/// How keys stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys {
    /// When they expire, where that is known.
    pub(super) expires: Option<UnixMillis>,
    /// Whether a security token comes with them: they do expire.
    pub(super) is_temporary: bool,
}

impl Vitals {
    pub(super) fn new(started: UnixMillis) -> Self {
        Self { started, facts: Mutex::default() }
    }

    /// A transaction of the ledger ended.
    pub(super) fn commit(&self, now: UnixMillis, ok: bool) {
        let mut facts = self.lock();
        if ok {
            (facts.last_commit, facts.commits_failing_since) = (Some(now), None);
        } else {
            facts.commits_failing_since.get_or_insert(now);
        }
    }

    /// The ledger was copied, or not.
    pub(super) fn backup(&self, now: UnixMillis, outcome: Result<(), String>) {
        let failing = &mut self.lock().backups_failing;
        *failing = outcome.err().map(|why| (failing.as_ref().map_or(now, |(since, _)| *since), why));
    }

    /// An account has keys.
    pub(super) fn keys(&self, account: &str, keys: Keys) {
        self.lock().keys.insert(account.to_owned(), keys);
    }

    /// An account has no keys, or others than before, which are still to come.
    pub(super) fn forget_keys(&self, account: &str) {
        self.lock().keys.remove(account);
    }

    /// These accounts are watched from now on, and no others, by these collectors.
    pub(super) fn watch(&self, scopes: &[ScopeId], collectors: &Collectors) {
        let mut facts = self.lock();
        facts.keys.retain(|account, _| scopes.iter().any(|scope| scope.account == *account));
        let Collectors { workspaces: _, session_clusters, livy_gateways, livy_sessions } = collectors;
        let polled = [
            (TargetKind::Workspaces, true),
            (TargetKind::SessionClusters, session_clusters.is_some()),
            (TargetKind::LivyGateways, livy_gateways.is_some()),
            (TargetKind::LivySessions, livy_sessions.is_some()),
        ];
        facts.polled = polled.into_iter().filter(|(_, is_polled)| *is_polled).map(|(kind, _)| kind).collect();
    }

    pub(super) fn facts(&self) -> Facts {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Facts> {
        // A panic while the lock was held leaves whole values behind.
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_fail_since_the_first_that_did_and_until_one_succeeds() {
        let vitals = Vitals::new(0);
        let failing = || vitals.facts().backups_failing;
        assert_eq!(failing(), None);
        vitals.backup(10, Err("full".into()));
        vitals.backup(20, Err("fuller".into()));
        assert_eq!(failing(), Some((10, "fuller".to_owned())));
        vitals.backup(30, Ok(()));
        assert_eq!(failing(), None);
        vitals.backup(40, Err("again".into()));
        assert_eq!(failing(), Some((40, "again".to_owned())));
    }
}
