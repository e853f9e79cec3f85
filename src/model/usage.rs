//! Usage figures in the integers in which the ledger counts.

/// Resources that Spark sessions consumed. Integers, so that sums are exact in any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// 10⁻⁹ CU-hours; 1 CU = 1 vCPU + 4 GiB. From `cuHours`, an estimate: the bill is the authority.
    pub nano_cu_hours: i64,
    /// Allocated vcores × seconds. From `vcoreSeconds`.
    pub vcore_seconds: i64,
    /// Allocated memory × seconds, in MiB·s. From `mbSeconds`: Spark and YARN count memory in MiB.
    pub mb_seconds: i64,
}

impl Usage {
    /// Nothing used.
    pub const ZERO: Self = Self { nano_cu_hours: 0, vcore_seconds: 0, mb_seconds: 0 };

    /// The largest `cuHours` that is taken at its word: 10⁸ CU-hours (10,000 CU for over a year) in one session.
    pub const CU_HOURS_MAX: f64 = 1e8;
    /// The largest integer figure of one session that is taken at its word: 2⁵³ − 1, the reach of a JSON number.
    pub const FIGURE_MAX: i64 = (1 << 53) - 1;

    /// The sum, or `None` where a figure leaves the range of 64 bits.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        Some(Self {
            nano_cu_hours: self.nano_cu_hours.checked_add(other.nano_cu_hours)?,
            vcore_seconds: self.vcore_seconds.checked_add(other.vcore_seconds)?,
            mb_seconds: self.mb_seconds.checked_add(other.mb_seconds)?,
        })
    }

    /// Figure by figure, the larger one.
    pub fn highest(self, other: Self) -> Self {
        Self {
            nano_cu_hours: self.nano_cu_hours.max(other.nano_cu_hours),
            vcore_seconds: self.vcore_seconds.max(other.vcore_seconds),
            mb_seconds: self.mb_seconds.max(other.mb_seconds),
        }
    }

    /// Figure by figure, `self − other`, held at the ends of 64 bits; figures are never negative, so none is reached.
    pub fn minus(self, other: Self) -> Self {
        Self {
            nano_cu_hours: self.nano_cu_hours.saturating_sub(other.nano_cu_hours),
            vcore_seconds: self.vcore_seconds.saturating_sub(other.vcore_seconds),
            mb_seconds: self.mb_seconds.saturating_sub(other.mb_seconds),
        }
    }

    /// Whether any figure is larger than the other's.
    pub fn exceeds(self, other: Self) -> bool {
        self.highest(other) != other
    }

    /// CU-seconds: CU-hours × 3600. Exact up to the last bit of the division by 10⁹.
    #[expect(clippy::cast_precision_loss, reason = "floats only at the very end")]
    pub fn cu_seconds(self) -> f64 {
        // 3600 / 10⁹ = 9 / 2.5·10⁶: multiplied in 128 bits first, so that one division rounds once.
        (i128::from(self.nano_cu_hours) * 9) as f64 / 2_500_000.0
    }

    /// vcore-seconds as the API gives them.
    #[expect(clippy::cast_precision_loss, reason = "floats only at the very end")]
    pub fn vcore_seconds(self) -> f64 {
        self.vcore_seconds as f64
    }

    /// Byte-seconds: MiB-seconds × 2²⁰.
    #[expect(clippy::cast_precision_loss, reason = "floats only at the very end")]
    pub fn memory_byte_seconds(self) -> f64 {
        self.mb_seconds as f64 * 1_048_576.0
    }
}

/// The figures of one answer: a figure that is missing says nothing, and least of all that it is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportedUsage {
    /// As [`Usage::nano_cu_hours`].
    pub nano_cu_hours: Option<i64>,
    /// As [`Usage::vcore_seconds`].
    pub vcore_seconds: Option<i64>,
    /// As [`Usage::mb_seconds`].
    pub mb_seconds: Option<i64>,
}

impl ReportedUsage {
    /// The figures reported, each missing one taken from `otherwise`.
    pub fn or(self, otherwise: Usage) -> Usage {
        Usage {
            nano_cu_hours: self.nano_cu_hours.unwrap_or(otherwise.nano_cu_hours),
            vcore_seconds: self.vcore_seconds.unwrap_or(otherwise.vcore_seconds),
            mb_seconds: self.mb_seconds.unwrap_or(otherwise.mb_seconds),
        }
    }
}

impl From<Usage> for ReportedUsage {
    fn from(usage: Usage) -> Self {
        Self {
            nano_cu_hours: Some(usage.nano_cu_hours),
            vcore_seconds: Some(usage.vcore_seconds),
            mb_seconds: Some(usage.mb_seconds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversions_are_exact_where_a_float_can_be() {
        let usage = Usage { nano_cu_hours: 322_500_000_000, vcore_seconds: 343, mb_seconds: 1_098_888 };
        assert_eq!(usage.cu_seconds(), 1_161_000.0);
        assert_eq!(usage.vcore_seconds(), 343.0);
        assert_eq!(usage.memory_byte_seconds(), 1_098_888.0 * 1_048_576.0);
        let one = Usage { nano_cu_hours: 1, ..Usage::ZERO };
        assert_eq!(one.cu_seconds(), 3.6e-6);
        let huge = Usage { nano_cu_hours: i64::MAX, ..Usage::ZERO };
        assert_eq!(huge.cu_seconds(), 9_223_372_036_854_775_807.0 * 3.6e-6);
    }

    #[test]
    fn a_sum_out_of_range_is_refused() {
        let huge = Usage { mb_seconds: i64::MAX, ..Usage::ZERO };
        assert_eq!(huge.checked_add(Usage { mb_seconds: 1, ..Usage::ZERO }), None);
        assert_eq!(huge.checked_add(Usage::ZERO), Some(huge));
    }

    #[test]
    fn the_larger_is_taken_figure_by_figure() {
        let a = Usage { nano_cu_hours: 5, vcore_seconds: 1, mb_seconds: 9 };
        let b = Usage { nano_cu_hours: 3, vcore_seconds: 4, mb_seconds: 9 };
        let max = a.highest(b);
        assert_eq!(max, Usage { nano_cu_hours: 5, vcore_seconds: 4, mb_seconds: 9 });
        assert_eq!(max.minus(b), Usage { nano_cu_hours: 2, vcore_seconds: 0, mb_seconds: 0 });
    }
}
