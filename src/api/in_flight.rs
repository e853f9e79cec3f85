//! Requests in flight at a time, as many as the settings say at the time. Invariant: where the limit is lowered, those under
//! way end first, and nothing new starts until fewer are left.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

/// The places for requests.
#[derive(Debug)]
pub(super) struct InFlight {
    semaphore: Semaphore,
    bounds: Mutex<Bounds>,
}

#[derive(Debug)]
struct Bounds {
    limit: usize,
    /// Places that are taken and go when they are left.
    excess: usize,
}

/// A place; it is left when this is dropped.
#[derive(Debug)]
pub(super) struct Place<'a> {
    of: &'a InFlight,
    permit: Option<SemaphorePermit<'a>>,
}

impl InFlight {
    /// So many places; at least one.
    pub(super) fn new(limit: usize) -> Self {
        let limit = limit.clamp(1, Semaphore::MAX_PERMITS);
        Self { semaphore: Semaphore::new(limit), bounds: Mutex::new(Bounds { limit, excess: 0 }) }
    }

    /// Waits for a place.
    pub(super) async fn place(&self) -> Place<'_> {
        // The semaphore is never closed.
        Place { of: self, permit: self.semaphore.acquire().await.ok() }
    }

    /// Changes how many places there are; at least one.
    pub(super) fn limit(&self, limit: usize) {
        let limit = limit.clamp(1, Semaphore::MAX_PERMITS);
        let mut bounds = self.lock();
        if limit >= bounds.limit {
            let more = limit - bounds.limit;
            let kept = more.min(bounds.excess);
            bounds.excess -= kept;
            self.semaphore.add_permits(more - kept);
        } else {
            let fewer = bounds.limit - limit;
            bounds.excess += fewer - self.semaphore.forget_permits(fewer);
        }
        bounds.limit = limit;
    }

    fn lock(&self) -> MutexGuard<'_, Bounds> {
        // Nothing panics while the lock is held.
        self.bounds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut bounds = self.of.lock();
        let Some(permit) = self.permit.take() else { return };
        if bounds.excess > 0 {
            bounds.excess -= 1;
            permit.forget();
        }
        // Else the permit goes back, before the lock does: a limit that is set meanwhile counts it.
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// Places that can be had at once.
    fn free(places: &InFlight) -> usize {
        let taken: Vec<_> = std::iter::from_fn(|| places.place().now_or_never()).take(100).collect();
        taken.len()
    }

    #[test]
    fn a_limit_holds_at_once_for_what_is_free_and_later_for_what_is_taken() {
        let places = InFlight::new(4);
        let mut taken: Vec<_> = (0..3).filter_map(|_| places.place().now_or_never()).collect();
        places.limit(2);
        assert_eq!((taken.len(), free(&places)), (3, 0));
        taken.pop();
        assert_eq!(free(&places), 0, "two are still taken");
        taken.pop();
        assert_eq!(free(&places), 1);
        places.limit(1);
        places.limit(5);
        assert_eq!(free(&places), 4, "one is still taken");
        taken.clear();
        assert_eq!(free(&places), 5);
        places.limit(0);
        assert_eq!(free(&places), 1, "never none");
    }
}
