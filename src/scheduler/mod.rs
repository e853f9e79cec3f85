//! What is polled when. Each target is a task of its own: it sweeps on its interval, never overlaps itself, has a
//! deadline, and fails alone; the sweeps of workspaces and of Livy gateways start and stop the targets beneath them.
//!
//! Other settings reach the running tasks, which go on under them: only what is new begins, and only what is gone ends.
//!
//! Invariant: what a sweep saw is counted however it ends; state gauges change only when it is complete.

mod alone;
mod children;
mod claims;
mod context;
mod failure;
mod first_pass;
mod list;
mod poll;
mod settings;
mod sweep;
mod timetable;

pub use context::Surroundings;
pub use failure::SweepError;
pub use first_pass::FirstPass;
pub use settings::{Scope, Settings};

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::model::{ScopeId, Target};
use children::Children;
use context::Context;
use sweep::WorkspacesSweep;

/// The running polls.
pub struct Scheduler {
    context: Arc<Context>,
    /// The accounts in their regions.
    scopes: Mutex<Children<ScopeId>>,
}

impl Scheduler {
    /// Starts to poll the scopes and what is discovered beneath them.
    pub fn start(surroundings: Surroundings, settings: Settings) -> Self {
        let context = Arc::new(Context::new(surroundings, settings));
        let mut scopes = Children::default();
        context.claims.reserve(context.settings().named());
        poll_scopes(&context, &mut scopes);
        Self { context, scopes: Mutex::new(scopes) }
    }

    /// Goes on under other settings. A sweep that is under way ends under the ones that it began with.
    pub async fn apply(&self, settings: Settings) {
        let mut scopes = self.scopes.lock().await;
        let goes = |scope: &&ScopeId| !settings.scopes.contains_key(*scope);
        let gone: Vec<Target> = scopes.ids().filter(goes).map(Target::workspaces).collect();
        scopes.keep(|scope| settings.scopes.contains_key(scope));
        for target in &gone {
            // Its workspaces may be another one's from now on.
            self.context.polled.ended(target).await;
        }
        // Before anybody follows them, so that what the settings name goes to the account that they name.
        self.context.claims.reserve(settings.named());
        self.context.settings.send_replace(Arc::new(settings));
        poll_scopes(&self.context, &mut scopes);
    }

    /// Ends all polls, in the middle of a sweep too: what is committed is kept, and the next start sees the rest.
    pub async fn stop(&self) {
        self.context.stop.cancel();
        self.context.tasks.close();
        self.context.tasks.wait().await;
    }
}

/// Starts to poll the scopes that are new in the settings.
fn poll_scopes(context: &Arc<Context>, running: &mut Children<ScopeId>) {
    let settings = context.settings();
    let wanted = settings.scopes.keys().map(|id| (id.clone(), id)).collect();
    running.reconcile(&context.stop, wanted, |id, stop| {
        let sweep = WorkspacesSweep::new(Arc::clone(context), id.clone());
        context.spawn(Target::workspaces(id), sweep, stop);
    });
}
