//! What a metric family is called and what it means.

/// The beginning of every name.
pub const PREFIX: &str = "emr_serverless_spark_";

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
    /// What its name begins with.
    pub(super) prefix: &'static str,
    /// The rest of its name.
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
        format!("{}{}", self.prefix, self.name)
    }

    /// The rest of the name as OpenMetrics has it: that of a counter's family is without the suffix of its samples.
    pub(super) fn base_name(&self) -> &'static str {
        match self.kind {
            Kind::Counter => self.name.strip_suffix("_total").unwrap_or(self.name),
            Kind::Gauge | Kind::Histogram => self.name,
        }
    }

    pub(super) const fn gauge(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { prefix: PREFIX, name, kind: Kind::Gauge, labels, help }
    }

    pub(super) const fn counter(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { prefix: PREFIX, name, kind: Kind::Counter, labels, help }
    }

    pub(super) const fn histogram(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { prefix: PREFIX, name, kind: Kind::Histogram, labels, help }
    }
}

/// The unit that a name ends in, if it ends in one: OpenMetrics wants it said, and right.
pub(super) fn base_unit(name: &str) -> Option<&'static str> {
    // The longer ones first; a timestamp's unit is seconds.
    const UNITS: [&str; 6] = ["cu_seconds", "vcore_seconds", "byte_seconds", "seconds", "bytes", "ratio"];
    UNITS.into_iter().find(|unit| name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_the_end_of_the_name() {
        let units =
            ["livy_cu_seconds", "a_timestamp_seconds", "size_bytes", "memory_byte_seconds", "bytes", "pages"]
                .map(base_unit);
        let expected = [Some("cu_seconds"), Some("seconds"), Some("bytes"), Some("byte_seconds"), None, None];
        assert_eq!(units, expected);
        assert_eq!(base_unit("allowed_requests_per_second"), None);
    }
}
