//! Which targets are still without a first sweep. Invariant: a target's children are expected before its own first
//! sweep is over, so that the count reaches zero only when all of the tree was swept once.

use tokio::sync::watch;

/// Counts targets without a first sweep.
#[derive(Clone, Debug)]
pub struct FirstPass(watch::Sender<usize>);

impl Default for FirstPass {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl FirstPass {
    /// Follows the count.
    pub fn subscribe(&self) -> watch::Receiver<usize> {
        self.0.subscribe()
    }

    /// One more target; it counts until the guard is dropped, by its first sweep or by its end.
    pub(super) fn expect_one(&self) -> Expected {
        self.0.send_modify(|waiting| *waiting += 1);
        Expected(self.0.clone())
    }
}

/// See [`FirstPass::expect_one`].
#[derive(Debug)]
pub(super) struct Expected(watch::Sender<usize>);

impl Drop for Expected {
    fn drop(&mut self) {
        self.0.send_modify(|waiting| *waiting = waiting.saturating_sub(1));
    }
}
