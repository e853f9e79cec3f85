//! The series of the exporter's own families: counted in the `prometheus` crate's atomics, written by hand. Gathering and
//! encoding with that crate costs a scrape more than all the rest of it.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use prometheus::core::Metric;
use prometheus::{Gauge, Histogram, HistogramOpts, IntCounter, IntGauge};

use crate::metrics::Family;
use crate::metrics::labels::write_pairs;
use crate::metrics::page::{Page, float};

/// A family that can be written.
pub(super) trait Written: fmt::Debug + Send + Sync {
    /// What it is called and means.
    fn family(&self) -> &Family;
    /// Writes it.
    fn write(&self, page: &mut Page);
}

/// What one series counts; clones share it.
pub(super) trait Counted: Clone + fmt::Debug + Send + Sync {
    /// Begins at zero, with these upper bounds where it is a histogram.
    fn begin(bounds: &[f64]) -> Self;
    /// Writes the samples of the series with these labels.
    fn write(&self, family: &Family, labels: &[u8], page: &mut Page);
}

/// The series of a family by the values of its labels, in their order. They are few: a list is looked through.
#[derive(Clone, Debug)]
pub struct Vector<T>(Arc<Inner<T>>);

#[derive(Debug)]
struct Inner<T> {
    family: Family,
    bounds: Vec<f64>,
    children: RwLock<Vec<Child<T>>>,
}

#[derive(Debug)]
struct Child<T> {
    values: Vec<String>,
    /// As they are written.
    labels: Vec<u8>,
    counted: T,
}

impl<T: Counted> Vector<T> {
    pub(super) fn new(family: Family, bounds: &[f64]) -> Self {
        Self(Arc::new(Inner { family, bounds: bounds.to_vec(), children: RwLock::default() }))
    }

    /// The series with these values of its labels, in order; it begins with the first call.
    pub(super) fn with_label_values(&self, values: &[&str]) -> T {
        let Inner { family, bounds, children } = &*self.0;
        debug_assert_eq!(family.labels.len(), values.len(), "{}", family.name);
        let order = |child: &Child<T>| child.values.iter().map(String::as_str).cmp(values.iter().copied());
        // A panic while the lock was held leaves a whole list behind.
        let known = children.read().unwrap_or_else(PoisonError::into_inner);
        if let Ok(place) = known.binary_search_by(order) {
            return known[place].counted.clone();
        }
        drop(known);
        let mut known = children.write().unwrap_or_else(PoisonError::into_inner);
        let place = match known.binary_search_by(order) {
            Ok(place) => return known[place].counted.clone(),
            Err(place) => place,
        };
        let counted = T::begin(bounds);
        let mut labels = Vec::new();
        write_pairs(&mut labels, family.labels, values);
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        known.insert(place, Child { values, labels, counted: counted.clone() });
        counted
    }

    /// Ends the series with these values, if there is one.
    pub(super) fn remove_label_values(&self, values: &[&str]) {
        let mut known = self.0.children.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|child| child.values != values);
    }
}

impl<T: Counted> Written for Vector<T> {
    fn family(&self) -> &Family {
        &self.0.family
    }

    fn write(&self, page: &mut Page) {
        let Inner { family, children, .. } = &*self.0;
        let children = children.read().unwrap_or_else(PoisonError::into_inner);
        page.family(family, |page| {
            for child in children.iter() {
                child.counted.write(family, &child.labels, page);
            }
        });
    }
}

impl Counted for IntCounter {
    fn begin(_: &[f64]) -> Self {
        made(Self::new("series", "series"))
    }

    fn write(&self, family: &Family, labels: &[u8], page: &mut Page) {
        page.sample_of(family, labels, &[], float(self.get()));
    }
}

impl Counted for IntGauge {
    fn begin(_: &[f64]) -> Self {
        made(Self::new("series", "series"))
    }

    #[expect(clippy::cast_precision_loss, reason = "samples are floats; counts stay below 2^53")]
    fn write(&self, family: &Family, labels: &[u8], page: &mut Page) {
        page.sample_of(family, labels, &[], self.get() as f64);
    }
}

impl Counted for Gauge {
    fn begin(_: &[f64]) -> Self {
        made(Self::new("series", "series"))
    }

    fn write(&self, family: &Family, labels: &[u8], page: &mut Page) {
        page.sample_of(family, labels, &[], self.get());
    }
}

impl Counted for Histogram {
    fn begin(bounds: &[f64]) -> Self {
        made(Self::with_opts(HistogramOpts::new("series", "series").buckets(bounds.to_vec())))
    }

    fn write(&self, family: &Family, labels: &[u8], page: &mut Page) {
        let metric = self.metric();
        let histogram = metric.get_histogram();
        for bucket in histogram.get_bucket() {
            page.bucket(family, labels, bucket.upper_bound(), bucket.cumulative_count()).end_line();
        }
        let (sum, count) = (histogram.get_sample_sum(), histogram.get_sample_count());
        page.bucket(family, labels, f64::INFINITY, count).end_line();
        page.totals(family, labels, sum, count);
    }
}

/// What the crate makes of a name and bounds that are constants here.
#[expect(clippy::expect_used, reason = "the name is valid, and the bounds of every family rise")]
fn made<T>(series: Result<T, prometheus::Error>) -> T {
    series.expect("a valid name and rising bounds")
}
