//! What the operating system tells of this process, under the names that every exporter has for it.

use super::template::Template;
use crate::metrics::{Family, Kind, lines};
use crate::model::Format;

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

/// What the operating system tells of this process. What it does not tell is not shown.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessFigures {
    /// User and system time of all threads, those that have ended included.
    pub cpu_seconds: Option<f64>,
    /// How many file descriptors may be open, infinite where there is no limit.
    pub fds_max: Option<f64>,
    /// How many are open.
    pub fds_open: Option<f64>,
    /// Resident memory.
    pub resident_bytes: Option<f64>,
    /// When it was started, in Unix seconds.
    pub started_seconds: Option<f64>,
    /// How many threads it has.
    pub threads: Option<f64>,
    /// Virtual memory.
    pub virtual_bytes: Option<f64>,
}

impl ProcessFigures {
    /// In the order of the families.
    const fn values(&self) -> [Option<f64>; FAMILIES.len()] {
        [
            self.cpu_seconds,
            self.fds_max,
            self.fds_open,
            self.resident_bytes,
            self.started_seconds,
            self.threads,
            self.virtual_bytes,
        ]
    }
}

/// Writes these families.
#[derive(Debug)]
pub(super) struct Process([Template; FAMILIES.len()]);

impl Process {
    pub(super) fn new() -> Self {
        Self(FAMILIES.each_ref().map(|family| {
            debug_assert!(family.kind != Kind::Histogram, "{}", family.name);
            let mut template = Template::new(family);
            template.add(|out| lines::sample(out, family, &[], &[]));
            template
        }))
    }

    /// What it can tell.
    pub(super) fn families() -> &'static [Family] {
        &FAMILIES
    }

    pub(super) fn write(&self, figures: &ProcessFigures, format: Format, out: &mut Vec<u8>) {
        for (template, value) in self.0.iter().zip(figures.values()) {
            if let Some(value) = value {
                template.write(format, &[value], out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_figure_has_its_family_and_what_is_not_known_has_none() {
        let figures = ProcessFigures {
            cpu_seconds: Some(1.25),
            fds_max: Some(f64::INFINITY),
            fds_open: Some(9.0),
            resident_bytes: Some(4096.0),
            started_seconds: Some(1_732_267_598.5),
            threads: Some(4.0),
            virtual_bytes: None,
        };
        let mut out = Vec::new();
        Process::new().write(&figures, Format::Text, &mut out);
        let text = String::from_utf8(out).unwrap();
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let expected = [
            "process_cpu_seconds_total 1.25",
            "process_max_fds +Inf",
            "process_open_fds 9",
            "process_resident_memory_bytes 4096",
            "process_start_time_seconds 1732267598.5",
            "process_threads 4",
        ];
        assert_eq!(samples, expected);
        assert!(!text.contains("virtual"), "{text}");
    }
}
