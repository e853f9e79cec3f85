//! The runbooks of the alerts, one page each. Invariant: those of `docs/runbooks`, all of them.

use super::Page;

macro_rules! runbooks {
    ($($alert:literal),* $(,)?) => {
        &[$((
            concat!("runbooks/", $alert),
            $alert,
            include_str!(concat!("../../../docs/runbooks/", $alert, ".md")),
        )),*]
    };
}

/// One for each alert, in order.
pub(super) const RUNBOOKS: &[Page] = runbooks![
    "EmrSparkBudgetBurnFast",
    "EmrSparkBudgetBurnSlow",
    "EmrSparkClusterError",
    "EmrSparkClusterPublicEndpoint",
    "EmrSparkClusterStartSlow",
    "EmrSparkClusterStuck",
    "EmrSparkClusterWithoutAutoStop",
    "EmrSparkConfigAwaitingRestart",
    "EmrSparkConfigReloadFailed",
    "EmrSparkCredentialsExpiring",
    "EmrSparkCredentialsRejected",
    "EmrSparkExporterDown",
    "EmrSparkLedgerBackupFailing",
    "EmrSparkLedgerDiskNearlyFull",
    "EmrSparkLedgerFailing",
    "EmrSparkLivyErrorRatio",
    "EmrSparkLivyGatewayIdle",
    "EmrSparkLivySessionRunaway",
    "EmrSparkLivySessionStuck",
    "EmrSparkSweepsFailing",
    "EmrSparkTargetStale",
    "EmrSparkThrottled",
    "EmrSparkWebConfigRefused",
];
