//! What the ledger on disk holds, read by the program's own reader.

use std::path::Path;

use emr_serverless_spark_exporter::ledger;
use emr_serverless_spark_exporter::sim::QueueTruth;

use super::truth::Totals;
use super::{Daemon, Lab, Page, Truth};

impl Lab {
    /// What the ledger holds, in the integers in which it counts.
    pub fn counted(&self) -> Truth {
        let mut totals = Totals::new();
        for (id, gateway) in &ledger::inspect(&self.ledger()).unwrap().totals.gateways {
            for (queue, series) in &gateway.series {
                let mut ended = [("terminated", series.terminated), ("error", series.error)].to_vec();
                ended.retain(|(_, count)| *count > 0);
                let row = QueueTruth {
                    usage: series.usage(),
                    created: series.created,
                    ended: ended.into_iter().collect(),
                };
                let key = [&id.workspace.workspace_id, &id.livy_compute_id, queue].map(Clone::clone);
                totals.insert(key, row);
            }
        }
        Truth(totals)
    }

    /// As [`Lab::settle`], and the ledger holds the truth to the last integer.
    #[track_caller]
    pub fn settle_both(&self, daemon: &Daemon) -> Page {
        let page = self.settle(daemon);
        assert_eq!(self.counted(), self.truth());
        page
    }
}

/// Asserts that a ledger is sound; tells what is in it.
#[track_caller]
pub fn sound(ledger: &Path) -> ledger::Checked {
    ledger::verify(ledger).unwrap_or_else(|error| panic!("{error}"))
}
