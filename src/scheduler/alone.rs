//! One task a target. Invariant: whoever polls a target has it alone; one that begins anew waits for the end of the one
//! before.

use std::collections::BTreeSet;

use tokio::sync::watch;

use crate::model::Target;

/// The targets that are polled.
#[derive(Clone, Debug)]
pub(super) struct Polled(watch::Sender<BTreeSet<Target>>);

impl Default for Polled {
    fn default() -> Self {
        Self(watch::Sender::new(BTreeSet::new()))
    }
}

impl Polled {
    /// Waits until nobody polls this target, and has it.
    pub(super) async fn alone(&self, target: &Target) -> Alone {
        let mut targets = self.0.subscribe();
        loop {
            let is_ours = self.0.send_if_modified(|polled| polled.insert(target.clone()));
            if is_ours {
                return Alone { polled: self.clone(), target: target.clone() };
            }
            // The sender lives as long as this does.
            let _ = targets.wait_for(|polled| !polled.contains(target)).await;
        }
    }

    /// Waits until nobody polls this target.
    pub(super) async fn ended(&self, target: &Target) {
        let _ = self.0.subscribe().wait_for(|polled| !polled.contains(target)).await;
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
    use crate::model::ScopeId;

    #[tokio::test]
    async fn a_target_is_had_by_one_after_the_other() {
        let polled = Polled::default();
        let scope = |account: &str| ScopeId { account: account.into(), region: "r".into() };
        let (one, other) = (Target::workspaces(&scope("a")), Target::workspaces(&scope("b")));
        let first = polled.alone(&one).await;
        let _other = polled.alone(&other).await;
        assert!(polled.alone(&one).now_or_never().is_none());
        assert!(polled.ended(&one).now_or_never().is_none());
        let (waiting, second) = (polled.clone(), one.clone());
        let waiting = tokio::spawn(async move { waiting.alone(&second).await });
        drop(first);
        let second = waiting.await.unwrap();
        assert!(polled.alone(&one).now_or_never().is_none());
        drop(second);
        polled.ended(&one).await;
        polled.alone(&one).await;
    }
}
