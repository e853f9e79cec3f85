//! What the usage counters must show, from the simulator's own book-keeping. The conversions are written out here anew:
//! nothing of the exporter's is called, so that a mistake there shows.

use std::collections::BTreeMap;

use emr_serverless_spark_exporter::sim::{QueueTruth, World};

use super::page::{Page, Series};

/// The families that must show the truth, and nothing else.
const COUNTERS: [&str; 5] = [
    "livy_cu_seconds_total",
    "livy_vcore_seconds_total",
    "livy_memory_byte_seconds_total",
    "livy_sessions_created_total",
    "livy_sessions_ended_total",
];

/// By workspace, gateway and queue.
pub(super) type Totals = BTreeMap<[String; 3], QueueTruth>;

/// What the counters must show at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Truth(pub(super) Totals);

impl Truth {
    /// Of a world, at its present time.
    pub fn of(world: &World) -> Self {
        let mut totals = Totals::new();
        for workspace in world.workspace_ids() {
            for gateway in world.gateways(&workspace) {
                for (queue, mut truth) in world.truth(&workspace, &gateway.id) {
                    truth.ended.retain(|_, count| *count > 0);
                    totals.insert([workspace.clone(), gateway.id.clone(), queue], truth);
                }
            }
        }
        Self(totals)
    }

    /// What has come since an earlier moment.
    pub fn since(&self, earlier: &Self) -> Self {
        let minus = |(id, now): (&[String; 3], &QueueTruth)| {
            let before = earlier.0.get(id).cloned().unwrap_or_default();
            let mut since = now.clone();
            since.usage.nano_cu_hours -= before.usage.nano_cu_hours;
            since.usage.vcore_seconds -= before.usage.vcore_seconds;
            since.usage.mb_seconds -= before.usage.mb_seconds;
            since.created -= before.created;
            for (state, count) in &mut since.ended {
                *count -= before.ended.get(state).copied().unwrap_or(0);
            }
            (id.clone(), since)
        };
        Self(self.0.iter().map(minus).collect())
    }

    /// By workspace, gateway and queue.
    pub fn queues(&self) -> impl Iterator<Item = (&[String; 3], &QueueTruth)> {
        self.0.iter()
    }

    /// Asserts that a later truth has every queue of this one, with no figure lower.
    #[track_caller]
    pub fn assert_not_fallen(&self, later: &Self) {
        for (queue, before) in &self.0 {
            let now = later.0.get(queue).unwrap_or_else(|| panic!("{queue:?} is gone"));
            let (was, is) = (before.usage, now.usage);
            let usage_kept = is.nano_cu_hours >= was.nano_cu_hours
                && is.vcore_seconds >= was.vcore_seconds
                && is.mb_seconds >= was.mb_seconds;
            let ends_kept = before
                .ended
                .iter()
                .all(|(state, count)| now.ended.get(state).is_some_and(|now| now >= count));
            assert!(
                usage_kept && now.created >= before.created && ends_kept,
                "{queue:?} fell from {before:?} to {now:?}"
            );
        }
    }

    /// Sessions ever born.
    pub fn created(&self) -> u64 {
        self.0.values().map(|queue| queue.created).sum()
    }

    /// CU-hours × 10⁹ of all queues.
    pub fn nano_cu_hours(&self) -> i64 {
        self.0.values().map(|queue| queue.usage.nano_cu_hours).sum()
    }

    /// The series that must be there, with their values to the last bit.
    #[expect(clippy::cast_precision_loss, reason = "samples are floats")]
    pub fn series(&self) -> BTreeMap<Series, f64> {
        let mut series = BTreeMap::new();
        for ([workspace, gateway, queue], truth) in &self.0 {
            let labels =
                [("workspace_id", workspace.as_str()), ("livy_compute_id", gateway), ("queue", queue)];
            let usage = truth.usage;
            let values = [
                // 10⁻⁹ CU-hours × 3600 s/h = 9 / 2,500,000 CU-seconds, as one division.
                (i128::from(usage.nano_cu_hours) * 9) as f64 / 2_500_000.0,
                usage.vcore_seconds as f64,
                // 1 MB of the service is 2^20 bytes.
                usage.mb_seconds as f64 * 1_048_576.0,
                truth.created as f64,
            ];
            for (name, value) in COUNTERS.iter().zip(values) {
                series.insert(Series::new(name, &labels), value);
            }
            for state in ["terminated", "error"] {
                let count = truth.ended.get(state).copied().unwrap_or(0);
                let labels = [labels[0], labels[1], labels[2], ("state", state)];
                series.insert(Series::new(COUNTERS[4], &labels), count as f64);
            }
        }
        series
    }

    /// Whether a page shows exactly this: every series, no other, each to the last bit.
    ///
    /// # Errors
    /// The first differences.
    pub fn equals(&self, page: &Page) -> Result<(), String> {
        let (expected, shown) = (self.series(), counters(page));
        let mut differences: Vec<String> = Vec::new();
        for (series, value) in &expected {
            match shown.get(series) {
                None => differences.push(format!("missing: {series}")),
                Some(found) if found.to_bits() != value.to_bits() => {
                    differences.push(format!("{series} is {found}, not {value}"));
                }
                Some(_) => {}
            }
        }
        let extra = shown.keys().filter(|series| !expected.contains_key(*series));
        differences.extend(extra.map(|series| format!("not to be there: {series}")));
        if differences.is_empty() {
            return Ok(());
        }
        Err(format!("{} differences: {:#?}", differences.len(), &differences[..differences.len().min(8)]))
    }

    /// Asserts that no counter of a page is beyond this.
    #[track_caller]
    pub fn assert_not_exceeded(&self, page: &Page) {
        let shown = counters(page);
        for (series, value) in self.series() {
            let found = shown.get(&series).copied().unwrap_or(0.0);
            assert!(found <= value, "{series} is {found}, beyond the truth of {value}");
        }
    }
}

/// The usage counters of a page.
pub fn counters(page: &Page) -> BTreeMap<Series, f64> {
    let is_one = |series: &Series| COUNTERS.contains(&series.name.as_str());
    page.samples.iter().filter(|(s, _)| is_one(s)).map(|(s, value)| (s.clone(), *value)).collect()
}

#[test]
fn a_difference_in_the_last_bit_a_missing_and_an_extra_series_are_told() {
    let world = World::new(emr_serverless_spark_exporter::sim::WorldConfig {
        history: 20,
        speed: 0.0,
        ..Default::default()
    });
    let truth = Truth::of(&world);
    let right = Page { text: String::new(), samples: truth.series() };
    assert_eq!(truth.equals(&right), Ok(()));
    let of_cu = |series: &Series| series.name == "livy_cu_seconds_total";

    let mut page = right.clone();
    let (series, value) = page.samples.iter_mut().find(|(s, _)| of_cu(s)).unwrap();
    let series = series.clone();
    *value = f64::from_bits(value.to_bits() - 1);
    assert!(truth.equals(&page).unwrap_err().starts_with("1 differences"));
    truth.assert_not_exceeded(&page);

    page.samples.remove(&series);
    assert!(truth.equals(&page).unwrap_err().contains("missing"));
    let mut page = right.clone();
    page.samples.insert(Series::new("livy_cu_seconds_total", &[("queue", "x")]), 0.0);
    assert!(truth.equals(&page).unwrap_err().contains("not to be there"));
}
