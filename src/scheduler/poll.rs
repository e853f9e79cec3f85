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
use super::{Context, SweepError};
use crate::api::Resume;
use crate::config::Collector;
use crate::journal::Journal;
use crate::metrics::Failure;
use crate::model::{FailureReason, Target, TargetKind};

/// The largest share of an interval by which a sweep comes early or late, so that targets do not keep step.
const JITTER: f64 = 0.05;
/// The longest wait before a target's first sweep: children of one parent spread over it.
const SPREAD_MAX: Duration = Duration::from_millis(500);

/// Reads a target once.
pub(super) trait Sweep: Send {
    /// Reads it; no request is begun that cannot end before the deadline. The future may be dropped at any point.
    fn sweep(&mut self, deadline: Instant) -> impl Future<Output = Result<(), SweepError>> + Send;
}

/// Polls a target until `stop`.
pub(super) async fn poll<S: Sweep>(
    context: Arc<Context>,
    target: Target,
    timing: Collector,
    mut sweep: S,
    stop: CancellationToken,
    first: Expected,
) {
    let mut first = Some(first);
    let (mut journal, mut resume) = (Journal::default(), None);
    context.exposition.update(|board| _ = board.target(&target));
    let mut next = Instant::now() + spread(&target, timing.interval);
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            // What the service kept refusing may be over, and is found out sooner than the interval says.
            () = resumed(resume.as_ref()) => {}
            () = stop.cancelled() => break,
        }
        let started = Instant::now();
        let attempt = AssertUnwindSafe(sweep.sweep(started + timing.deadline)).catch_unwind();
        let outcome = tokio::select! {
            outcome = tokio::time::timeout(timing.deadline, attempt) => outcome,
            () = stop.cancelled() => break,
        };
        let result = match outcome {
            Ok(Ok(result)) => result,
            Ok(Err(_panic)) => Err(SweepError::new(
                FailureReason::Internal,
                "the sweep panicked: a defect of the exporter; the log has the place",
            )),
            Err(_elapsed) => Err(SweepError::new(
                FailureReason::Overrun,
                format!(
                    "the sweep was not over after its deadline of {}",
                    humantime::format_duration(timing.deadline)
                ),
            )),
        };
        let error = result.err();
        tell(&context, &target, started.elapsed(), error.as_ref(), &mut journal);
        resume = error.and_then(|error| error.resume);
        first = None;
        next = started + jittered(timing.interval);
    }
    drop(first);
    if !context.stop.is_cancelled() {
        tracing::info!(kind = %target.kind, workspace_id = target.workspace_id, livy_compute_id = target.livy_compute_id, "gone: no longer polled");
        context.exposition.update(|board| board.remove_target(&target));
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

fn spread(target: &Target, interval: Duration) -> Duration {
    match target.kind {
        // Nothing is known before it: at once.
        TargetKind::Workspaces => Duration::ZERO,
        _ => SPREAD_MAX.min(interval / 10).mul_f64(rand::random::<f64>()),
    }
}

fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(1.0 + JITTER * (2.0 * rand::random::<f64>() - 1.0))
}
