//! What is polled when. Each target is a task of its own: it sweeps on its interval, never overlaps itself, has a
//! deadline, and fails alone; the sweeps of workspaces and of Livy gateways start and stop the targets beneath them.
//!
//! Invariant: what a sweep saw is counted however it ends; state gauges change only when it is complete.

mod children;
mod context;
mod failure;
mod first_pass;
mod list;
mod poll;
mod sweep;

pub use context::{Claims, Context, Scope};
pub use failure::SweepError;
pub use first_pass::FirstPass;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::model::Target;
use sweep::WorkspacesSweep;

/// The running polls.
#[derive(Debug)]
pub struct Scheduler {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Scheduler {
    /// Starts to poll the scopes and what is discovered beneath them.
    pub fn start(context: Context, scopes: Vec<Scope>) -> Self {
        let context = Arc::new(context);
        for scope in scopes {
            let target = Target::workspaces(&scope.id);
            let sweep = WorkspacesSweep::new(Arc::clone(&context), Arc::new(scope));
            let stop = context.stop.child_token();
            context.spawn(target, context.collectors.workspaces, sweep, stop);
        }
        Self { tasks: context.tasks.clone(), stop: context.stop.clone() }
    }

    /// Ends all polls, in the middle of a sweep too: what is committed is kept, and the next start sees the rest.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}
