//! Which scope watches a workspace. Invariant: one at a time, as a workspace that two of them reach must not be counted
//! twice; what the settings name by id goes to no other scope than the one that they name it for.

use std::collections::BTreeMap;

use tokio::sync::watch;

use crate::model::ScopeId;

/// See the module.
#[derive(Debug)]
pub(super) struct Claims(watch::Sender<State>);

/// By the id of the workspace.
#[derive(Debug, Default)]
struct State {
    /// For whom the settings name it.
    named: BTreeMap<String, ScopeId>,
    /// Who watches it.
    watched: BTreeMap<String, ScopeId>,
}

impl Default for Claims {
    fn default() -> Self {
        Self(watch::Sender::new(State::default()))
    }
}

impl State {
    /// The other scope that has a workspace, or is to have it.
    fn rival(&self, workspace_id: &str, scope: &ScopeId) -> Option<&ScopeId> {
        let owners = [&self.named, &self.watched].into_iter().filter_map(|map| map.get(workspace_id));
        owners.into_iter().find(|owner| *owner != scope)
    }

    /// Whether another scope still watches what the settings name for this one.
    fn awaits(&self, scope: &ScopeId) -> bool {
        let is_elsewhere = |id: &String| self.watched.get(id).is_some_and(|owner| owner != scope);
        self.named.iter().any(|(id, owner)| owner == scope && is_elsewhere(id))
    }
}

impl Claims {
    /// Reserves what the settings name by id, and nothing else; they name no workspace twice. Who watches such a
    /// workspace for another scope is to let it go.
    pub(super) fn reserve(&self, named: BTreeMap<String, ScopeId>) {
        self.0.send_modify(|state| state.named = named);
    }

    /// Claims a workspace for a scope.
    ///
    /// # Errors
    /// The scope that has it already, or is to have it.
    pub(super) fn claim(&self, workspace_id: &str, scope: &ScopeId) -> Result<(), ScopeId> {
        let mut rival = None;
        self.0.send_if_modified(|state| {
            rival = state.rival(workspace_id, scope).cloned();
            if rival.is_none() {
                state.watched.insert(workspace_id.to_owned(), scope.clone());
            }
            // Nobody waits for a claim.
            false
        });
        rival.map_or(Ok(()), Err)
    }

    /// Waits until no other scope watches what the settings name for this one.
    pub(super) async fn vacated(&self, scope: &ScopeId) {
        // The sender lives as long as this does.
        let _ = self.0.subscribe().wait_for(|state| !state.awaits(scope)).await;
    }

    /// Lets go of all workspaces of a scope.
    pub(super) fn release(&self, scope: &ScopeId) {
        self.keep(scope, |_| false);
    }

    /// Lets go of the workspaces of a scope that are no longer listed.
    pub(super) fn keep(&self, scope: &ScopeId, is_listed: impl Fn(&str) -> bool) {
        self.0.send_modify(|state| {
            state.watched.retain(|workspace_id, owner| owner != scope || is_listed(workspace_id));
        });
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn scope(account: &str) -> ScopeId {
        ScopeId { account: account.into(), region: "r".into() }
    }

    #[tokio::test]
    async fn a_workspace_has_one_scope_and_passes_to_the_one_that_names_it_when_it_is_let_go() {
        let (one, two) = (scope("one"), scope("two"));
        let claims = Claims::default();
        assert_eq!(claims.claim("w-1", &one), Ok(()));
        assert_eq!(claims.claim("w-1", &one), Ok(()));
        assert_eq!(claims.claim("w-1", &two), Err(one.clone()));
        claims.vacated(&two).await; // Nothing is named.
        claims.reserve(BTreeMap::from([("w-1".to_owned(), two.clone()), ("w-2".to_owned(), two.clone())]));
        // Its tasks are still at work: naming alone takes it from nobody.
        assert_eq!(claims.claim("w-1", &two), Err(one.clone()));
        assert_eq!(claims.claim("w-1", &one), Err(two.clone()));
        assert_eq!(claims.claim("w-2", &one), Err(two.clone()));
        assert!(claims.vacated(&two).now_or_never().is_none());
        claims.keep(&one, |id| id != "w-1");
        claims.vacated(&two).await;
        assert_eq!(claims.claim("w-1", &two), Ok(()));
        claims.reserve(BTreeMap::new());
        assert_eq!(claims.claim("w-1", &one), Err(two.clone()));
        assert_eq!(claims.claim("w-2", &one), Ok(()));
        claims.release(&two);
        assert_eq!(claims.claim("w-1", &one), Ok(()));
    }
}
