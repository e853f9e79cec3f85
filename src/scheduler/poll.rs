//! One target: sweep, tell how it went, wait. Invariant: a sweep that fails, hangs or panics ends by its deadline and
//! leaves every other target alone.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::first_pass::Expected;
use super::timetable::Timetable;
use super::{Context, Scope, Settings, SweepError};
use crate::api::{Client, Resume};
use crate::journal::Journal;
use crate::metrics::Failure;
use crate::model::{FailureReason, Target};

/// What a sweep works with from its begin to its end.
#[derive(Clone)]
pub(super) struct Round {
    pub(super) settings: Arc<Settings>,
    pub(super) scope: Arc<Scope>,
    /// Begins no request that cannot end before the sweep's deadline.
    pub(super) client: Client,
    deadline: Duration,
}

impl Round {
    /// One that begins now; `None` where the target is not to be swept.
    fn begin(target: &Target, settings: Arc<Settings>) -> Option<Self> {
        let (collector, scope) = settings.of(target)?;
        let (scope, deadline) = (Arc::clone(scope), collector.deadline);
        let client = scope.client.until(Instant::now() + deadline);
        Some(Self { settings, scope, client, deadline })
    }
}

/// Reads a target once.
pub(super) trait Sweep: Send {
    /// Reads it. The future may be dropped at any point.
    fn sweep(&mut self, round: Round) -> impl Future<Output = Result<(), SweepError>> + Send;

    /// Follows other settings, between two sweeps and without a request. True where these take a sweep at once. The
    /// future may be dropped at any point.
    fn adopt(&mut self, _settings: &Settings) -> impl Future<Output = bool> + Send {
        std::future::ready(false)
    }
}

/// Polls a target until `stop`.
pub(super) async fn poll<S: Sweep>(
    context: Arc<Context>,
    target: Target,
    mut sweep: S,
    stop: CancellationToken,
    first: Expected,
) {
    let Some(alone) = context.polled.alone(&target, &stop).await else { return };
    let mut first = Some(first);
    let (mut journal, mut resume) = (Journal::default(), None);
    context.exposition.update(|board| _ = board.target(&target));
    let mut settings = context.settings.subscribe();
    let mut timetable = Timetable::new(&target, &settings.borrow_and_update());
    loop {
        tokio::select! {
            () = timetable.due() => {}
            // What the service kept refusing may be over, and is found out sooner than the interval says.
            () = resumed(resume.as_ref()) => {}
            // The sender lives as long as the context.
            _ = settings.changed() => {
                let now = Arc::clone(&settings.borrow_and_update());
                timetable.adopt(&target, &now);
                match stop.run_until_cancelled(follow(&mut sweep, &target, &now)).await {
                    Some(true) => timetable.soon(&target),
                    Some(false) => {}
                    None => break,
                }
                continue;
            }
            () = stop.cancelled() => break,
        }
        resume = None;
        // Where there is none, this target is about to end, or waits for other settings.
        let Some(round) = Round::begin(&target, context.settings()) else { continue };
        timetable.begin();
        let started = Instant::now();
        let swept = tokio::select! {
            swept = attempt(&mut sweep, round) => swept,
            () = stop.cancelled() => break,
        };
        let error = swept.err();
        tell(&context, &target, started.elapsed(), error.as_ref(), &mut journal);
        resume = error.and_then(|error| error.resume);
        first = None;
    }
    // What it holds of others is let go before anybody else has the target.
    drop((sweep, first));
    if !context.stop.is_cancelled() {
        tracing::info!(kind = %target.kind, workspace_id = target.workspace_id, livy_compute_id = target.livy_compute_id, "gone: no longer polled");
        context.exposition.update(|board| board.remove_target(&target));
    }
    drop(alone);
}

/// Has a sweep follow other settings, in no more time than it may take itself; true where these take one at once.
async fn follow<S: Sweep>(sweep: &mut S, target: &Target, settings: &Settings) -> bool {
    let Some((collector, _)) = settings.of(target) else { return false };
    let adopted = tokio::time::timeout(collector.deadline, sweep.adopt(settings)).await;
    // What could not be followed in time is left to the sweep, which says why.
    adopted.unwrap_or(true)
}

/// One sweep, within its deadline and whatever becomes of it.
async fn attempt<S: Sweep>(sweep: &mut S, round: Round) -> Result<(), SweepError> {
    let deadline = round.deadline;
    let swept = AssertUnwindSafe(sweep.sweep(round)).catch_unwind();
    match tokio::time::timeout(deadline, swept).await {
        Ok(Ok(result)) => result,
        Ok(Err(_panic)) => Err(SweepError::new(
            FailureReason::Internal,
            "the sweep panicked: a defect of the exporter; the log has the place",
        )),
        Err(_elapsed) => Err(SweepError::new(
            FailureReason::Overrun,
            format!("the sweep was not over after its deadline of {}", humantime::format_duration(deadline)),
        )),
    }
}

async fn resumed(resume: Option<&Resume>) {
    match resume {
        Some(resume) => resume.wait().await,
        None => std::future::pending().await,
    }
}

/// Notes how a sweep went: in the metrics, on the board, and in the log as far as that is news.
fn tell(
    context: &Context,
    target: &Target,
    took: Duration,
    error: Option<&SweepError>,
    journal: &mut Journal<FailureReason>,
) {
    context.own.sweeps.sweep(target.kind, took, error.map(|error| error.reason));
    let at = context.clock.now();
    context.exposition.update(|board| {
        let status = board.target(target);
        status.progress = None;
        status.last_duration = Some(took);
        match error {
            None => status.succeeded(at),
            Some(error) => status.failed(Failure {
                at,
                reason: error.reason,
                message: error.message.clone(),
                code: error.code.clone(),
                request_id: error.request_id.clone(),
            }),
        }
    });
    let Target { kind, scope, workspace_id, livy_compute_id } = target;
    let (seconds, now) = (took.as_secs_f64(), Instant::now().into_std());
    let Some(error) = error else {
        match journal.succeeded(now) {
            Some(over) => tracing::info!(
                kind = %kind, account = scope.account, region = scope.region, workspace_id, livy_compute_id, seconds,
                lasted_seconds = over.lasted.as_secs_f64(), failures = over.failures, "sweeps end well again"
            ),
            None => {
                tracing::debug!(kind = %kind, workspace_id, livy_compute_id, seconds, "sweep complete");
            }
        }
        return;
    };
    match journal.failed(error.reason, now) {
        Some(left_out) => tracing::warn!(
            kind = %kind, account = scope.account, region = scope.region, workspace_id, livy_compute_id, seconds,
            reason = %error.reason, left_out, "sweep failed: {error}"
        ),
        None => {
            tracing::debug!(kind = %kind, workspace_id, livy_compute_id, reason = %error.reason, "sweep failed again: {error}");
        }
    }
}
