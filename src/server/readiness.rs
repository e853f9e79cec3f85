//! Whether the exporter has something to say. Invariant: it gets ready once, and stays so until it drains.

use tokio::sync::watch;

/// How far the exporter has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Targets are still without a first sweep, well ended or not.
    Starting {
        /// How many.
        waiting: usize,
    },
    /// Every target that is known has been swept once.
    Ready,
    /// The exporter is about to end.
    Draining,
}

/// The stage, shared.
#[derive(Clone, Debug)]
pub struct Readiness(watch::Sender<Stage>);

impl Default for Readiness {
    fn default() -> Self {
        Self(watch::Sender::new(Stage::Starting { waiting: 1 }))
    }
}

impl Readiness {
    /// The present stage.
    pub fn stage(&self) -> Stage {
        *self.0.borrow()
    }

    /// Notes how many targets are without a first sweep; ready at 0, and from then on.
    pub fn waiting(&self, waiting: usize) {
        self.0.send_if_modified(|stage| {
            let before = *stage;
            if let Stage::Starting { .. } = before {
                *stage = if waiting == 0 { Stage::Ready } else { Stage::Starting { waiting } };
            }
            *stage != before
        });
    }

    /// Begins the end.
    pub fn drain(&self) {
        self.0.send_replace(Stage::Draining);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_gets_ready_once_and_drains_for_good() {
        let readiness = Readiness::default();
        readiness.waiting(3);
        assert_eq!(readiness.stage(), Stage::Starting { waiting: 3 });
        readiness.waiting(0);
        readiness.waiting(5);
        assert_eq!(readiness.stage(), Stage::Ready);
        readiness.drain();
        readiness.waiting(0);
        assert_eq!(readiness.stage(), Stage::Draining);
    }
}
