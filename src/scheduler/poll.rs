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
use crate::config::Collector;
use crate::metrics::Failure;
use crate::model::{FailureReason, Target, TargetKind};

/// The largest share of an interval by which a sweep comes early or late, so that targets do not keep step.
const JITTER: f64 = 0.05;
/// The longest wait before a target's first sweep: children of one parent spread over it.
const SPREAD_MAX: Duration = Duration::from_millis(500);

/// Reads a target once.
pub(super) trait Sweep: Send {
    /// Reads it. The future may be dropped at any point.
    fn sweep(&mut self) -> impl Future<Output = Result<(), SweepError>> + Send;
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
    context.exposition.update(|board| _ = board.target(&target));
    let mut next = Instant::now() + spread(&target, timing.interval);
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            () = stop.cancelled() => break,
        }
        let started = Instant::now();
        let attempt = AssertUnwindSafe(sweep.sweep()).catch_unwind();
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
        tell(&context, &target, started.elapsed(), result.err());
        first = None;
        next = started + jittered(timing.interval);
    }
    drop(first);
    if !context.stop.is_cancelled() {
        tracing::info!(kind = %target.kind, workspace_id = target.workspace_id, livy_compute_id = target.livy_compute_id, "gone: no longer polled");
        context.exposition.update(|board| board.remove_target(&target));
    }
}

/// Notes how a sweep went: in the metrics, on the board, and in the log where that changed.
fn tell(context: &Context, target: &Target, took: Duration, error: Option<SweepError>) {
    context.own.sweeps.sweep(target.kind, took, error.as_ref().map(|error| error.reason));
    let now = context.clock.now();
    let mut before = None;
    context.exposition.update(|board| {
        let status = board.target(target);
        before = status.failure.take();
        status.progress = None;
        status.last_duration = Some(took);
        match &error {
            None => status.last_success = Some(now),
            Some(SweepError { reason, message }) => {
                status.failure = Some(Failure { reason: *reason, message: message.clone() });
            }
        }
    });
    let Target { kind, scope, workspace_id, livy_compute_id } = target;
    let seconds = took.as_secs_f64();
    match (error, before) {
        (Some(error), before) if before.as_ref().is_none_or(|before| before.reason != error.reason) => {
            tracing::warn!(
                kind = %kind, account = scope.account, region = scope.region, workspace_id, livy_compute_id, seconds,
                reason = %error.reason, "sweep failed: {error}"
            );
        }
        (Some(error), _) => {
            tracing::debug!(kind = %kind, workspace_id, livy_compute_id, reason = %error.reason, "sweep failed again: {error}");
        }
        (None, Some(before)) => {
            tracing::info!(
                kind = %kind, account = scope.account, region = scope.region, workspace_id, livy_compute_id, seconds,
                "sweeps end well again, after: {}", before.reason
            );
        }
        (None, None) => {
            tracing::debug!(kind = %kind, workspace_id, livy_compute_id, seconds, "sweep complete");
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
