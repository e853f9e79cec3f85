//! What is told of the ledger and the keys, kept for the status page.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::UnixMillis;
use crate::model::ScopeId;

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
    /// By account: when the keys that it has expire.
    pub(super) keys: BTreeMap<String, Option<UnixMillis>>,
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

    /// An account has keys.
    pub(super) fn keys(&self, account: &str, expires: Option<UnixMillis>) {
        self.lock().keys.insert(account.to_owned(), expires);
    }

    /// An account has no keys, or others than before, which are still to come.
    pub(super) fn forget_keys(&self, account: &str) {
        self.lock().keys.remove(account);
    }

    /// These accounts are watched from now on, and no others.
    pub(super) fn watch(&self, scopes: &[ScopeId]) {
        self.lock().keys.retain(|account, _| scopes.iter().any(|scope| scope.account == *account));
    }

    pub(super) fn facts(&self) -> Facts {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Facts> {
        // A panic while the lock was held leaves whole values behind.
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
