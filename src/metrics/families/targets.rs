//! How each target fares.

use crate::metrics::Family;
use crate::metrics::board::{TargetStatus, View};
use crate::metrics::lines::seconds;
use crate::metrics::page::Page;
use crate::model::Target;

const TARGET: &[&str] = &["target", "account", "region", "workspace_id", "livy_compute_id"];

const SUCCESS: Family = Family::gauge(
    "exporter_sweep_success",
    TARGET,
    "Whether the latest sweep of this target ended well (1) or failed (0).",
);
const LAST_SUCCESS: Family = Family::gauge(
    "exporter_sweep_last_success_timestamp_seconds",
    TARGET,
    "When the latest sweep of this target that ended well did so, in Unix seconds.",
);
const FAILURE: Family = Family::gauge(
    "exporter_sweep_failure_info",
    &["target", "account", "region", "workspace_id", "livy_compute_id", "reason"],
    "Why the latest sweep of this target failed; always 1, and absent while sweeps end well.",
);
const PROGRESS: Family = Family::gauge(
    "exporter_sweep_progress_ratio",
    TARGET,
    "How far the running sweep of this target has come, from 0 to 1; absent between sweeps.",
);
const LAST_DURATION: Family = Family::gauge(
    "exporter_sweep_last_duration_seconds",
    TARGET,
    "How long the latest sweep of this target took, in seconds, whether it ended well or failed.",
);

pub(super) const FAMILIES: &[&Family] = &[&SUCCESS, &LAST_SUCCESS, &FAILURE, &PROGRESS, &LAST_DURATION];

pub(super) fn render(view: View<'_>, page: &mut Page) {
    each(view, page, &SUCCESS, |status| {
        (status.failing_since.is_some() || status.last_success.is_some())
            .then(|| f64::from(status.failing_since.is_none()))
    });
    each(view, page, &LAST_SUCCESS, |status| status.last_success.map(seconds));
    page.family(&FAILURE, |page| {
        for (target, status) in view.board.targets() {
            if let Some(failure) = status.failure() {
                let [kind, account, region, workspace_id, livy_compute_id] = labels(target);
                let reason = failure.reason.as_str();
                page.sample(&FAILURE, &[kind, account, region, workspace_id, livy_compute_id, reason], 1.0);
            }
        }
    });
    each(view, page, &PROGRESS, |status| status.progress);
    each(view, page, &LAST_DURATION, |status| status.last_duration.map(|took| took.as_secs_f64()));
}

fn each(view: View<'_>, page: &mut Page, family: &Family, of: impl Fn(&TargetStatus) -> Option<f64>) {
    page.family(family, |page| {
        for (target, status) in view.board.targets() {
            if let Some(value) = of(status) {
                page.sample(family, &labels(target), value);
            }
        }
    });
}

fn labels(target: &Target) -> [&str; 5] {
    [
        target.kind.as_str(),
        &target.scope.account,
        &target.scope.region,
        &target.workspace_id,
        &target.livy_compute_id,
    ]
}
