//! What a metric family is called and what it means.

/// The beginning of every name.
pub(super) const PREFIX: &str = "emr_serverless_spark_";

/// The type of a family, as Prometheus's text format names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only ever goes up.
    Counter,
    /// Cumulative counts by upper bound.
    Histogram,
}

impl Kind {
    /// As the format writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric family.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Without the prefix that all share.
    pub(super) name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Names of its labels, in the order in which they are written.
    pub labels: &'static [&'static str],
    /// What it tells, its unit, and how fresh it is.
    pub help: &'static str,
}

impl Family {
    /// The whole name.
    pub fn name(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }

    pub(super) const fn gauge(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { name, kind: Kind::Gauge, labels, help }
    }

    pub(super) const fn counter(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { name, kind: Kind::Counter, labels, help }
    }

    pub(super) const fn histogram(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { name, kind: Kind::Histogram, labels, help }
    }
}
