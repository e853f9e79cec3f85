//! One task a target. Invariant: whoever polls a target has it alone; one that begins anew waits for the end of the one
//! before.

use std::collections::BTreeSet;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::model::{ScopeId, Target};

/// The targets that are polled.
#[derive(Clone, Debug)]
pub(super) struct Polled(watch::Sender<BTreeSet<Target>>);

impl Default for Polled {
    fn default() -> Self {
        Self(watch::Sender::new(BTreeSet::new()))
    }
}

impl Polled {
    /// Waits until nobody polls this target, and has it; `None` after `stop`.
    pub(super) async fn alone(&self, target: &Target, stop: &CancellationToken) -> Option<Alone> {
        let mut targets = self.0.subscribe();
        loop {
            // Looked at in the same moment, so that what was told to end and is not polled never will be.
            let is_ours =
                self.0.send_if_modified(|polled| !stop.is_cancelled() && polled.insert(target.clone()));
            if is_ours {
                return Some(Alone { polled: self.clone(), target: target.clone() });
            }
            // The sender lives as long as this does.
            let _ = stop.run_until_cancelled(targets.wait_for(|polled| !polled.contains(target))).await?;
        }
    }

    /// Waits until nobody polls this target.
    pub(super) async fn ended(&self, target: &Target) {
        let _ = self.0.subscribe().wait_for(|polled| !polled.contains(target)).await;
    }

    /// Waits until no other scope polls anything of these workspaces.
    pub(super) async fn ended_elsewhere(&self, scope: &ScopeId, workspace_ids: &BTreeSet<String>) {
        let is_elsewhere =
            |target: &Target| target.scope != *scope && workspace_ids.contains(&target.workspace_id);
        let _ = self.0.subscribe().wait_for(|polled| !polled.iter().any(is_elsewhere)).await;
    }
}

/// A target that nobody else polls, until this is dropped.
#[derive(Debug)]
pub(super) struct Alone {
    polled: Polled,
    target: Target,
}

impl Drop for Alone {
    fn drop(&mut self) {
        self.polled.0.send_modify(|polled| {
            polled.remove(&self.target);
        });
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::model::TargetKind;

    fn scope(account: &str) -> ScopeId {
        ScopeId { account: account.into(), region: "r".into() }
    }

    #[tokio::test]
    async fn a_target_is_had_by_one_after_the_other() {
        let (polled, stop) = (Polled::default(), CancellationToken::new());
        let (one, other) = (Target::workspaces(&scope("a")), Target::workspaces(&scope("b")));
        let first = polled.alone(&one, &stop).await;
        let _other = polled.alone(&other, &stop).await;
        assert!(polled.alone(&one, &stop).now_or_never().is_none());
        assert!(polled.ended(&one).now_or_never().is_none());
        let (waiting, second, until) = (polled.clone(), one.clone(), stop.clone());
        let waiting = tokio::spawn(async move { waiting.alone(&second, &until).await });
        drop(first);
        let second = waiting.await.unwrap();
        assert!(polled.alone(&one, &stop).now_or_never().is_none());
        drop(second);
        polled.ended(&one).await;
        assert!(polled.alone(&one, &stop).await.is_some());
        stop.cancel();
        assert!(polled.alone(&one, &stop).await.is_none(), "it was told to end");
        polled.ended(&one).await;
    }

    #[tokio::test]
    async fn a_workspace_is_had_by_one_scope_after_the_other() {
        let (polled, stop) = (Polled::default(), CancellationToken::new());
        let ids = BTreeSet::from(["w-1".to_owned()]);
        let _list = polled.alone(&Target::workspaces(&scope("a")), &stop).await;
        let _other = polled.alone(&Target::livy_sessions(&scope("a"), "w-2", "g"), &stop).await;
        let _own = polled.alone(&Target::livy_sessions(&scope("b"), "w-1", "g"), &stop).await;
        polled.ended_elsewhere(&scope("b"), &ids).await;
        let clusters = Target::of_workspace(TargetKind::SessionClusters, &scope("a"), "w-1");
        let both = [clusters, Target::livy_sessions(&scope("a"), "w-1", "g")];
        for target in both {
            let held = polled.alone(&target, &stop).await;
            assert!(polled.ended_elsewhere(&scope("b"), &ids).now_or_never().is_none(), "{target:?}");
            drop(held);
            polled.ended_elsewhere(&scope("b"), &ids).await;
        }
    }
}
