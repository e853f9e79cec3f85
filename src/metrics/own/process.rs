//! What the operating system tells of this process, under the names that every exporter has for it.

use std::fmt;

use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;

use crate::metrics::page::Page;
use crate::metrics::{Family, Kind};

const fn plain(mut family: Family) -> Family {
    family.prefix = "";
    family
}

const FAMILIES: [Family; 7] = [
    plain(Family::counter(
        "process_cpu_seconds_total",
        &[],
        "Total user and system CPU time spent in seconds.",
    )),
    plain(Family::gauge("process_max_fds", &[], "Maximum number of open file descriptors.")),
    plain(Family::gauge("process_open_fds", &[], "Number of open file descriptors.")),
    plain(Family::gauge("process_resident_memory_bytes", &[], "Resident memory size in bytes.")),
    plain(Family::gauge(
        "process_start_time_seconds",
        &[],
        "Start time of the process since unix epoch in seconds.",
    )),
    plain(Family::gauge("process_threads", &[], "Number of OS threads in the process.")),
    plain(Family::gauge("process_virtual_memory_bytes", &[], "Virtual memory size in bytes.")),
];

/// Reads `/proc` whenever it is written.
pub(super) struct Process(ProcessCollector);

impl Process {
    pub(super) fn new() -> Self {
        Self(ProcessCollector::for_self())
    }

    /// What it can tell.
    pub(super) fn families() -> &'static [Family] {
        &FAMILIES
    }

    pub(super) fn write(&self, page: &mut Page) {
        let mut collected = self.0.collect();
        collected.sort_unstable_by(|a, b| a.name().cmp(b.name()));
        for found in &collected {
            let Some(family) = FAMILIES.iter().find(|family| family.name == found.name()) else { continue };
            for metric in found.get_metric() {
                let value = match family.kind {
                    Kind::Counter => metric.get_counter().get_value(),
                    _ => metric.get_gauge().get_value(),
                };
                page.family(family, |page| page.sample(family, &[], value));
            }
        }
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Process")
    }
}
