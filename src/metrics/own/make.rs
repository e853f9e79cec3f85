//! Makes the exporter's own families, and writes them in the order of their names.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{Gauge, Histogram, IntCounter, IntGauge};

use super::series::{Counted, Vector, Written};
use crate::metrics::Family;

/// Families, in the order of their names.
pub(super) type Families = Vec<Arc<dyn Written>>;

/// Makes families with the prefix that all share, and keeps them.
#[derive(Debug, Default)]
pub(super) struct Maker(Mutex<BTreeMap<String, Arc<dyn Written>>>);

impl Maker {
    /// All that were made.
    pub(super) fn families(self) -> Families {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
    }

    fn add<T: Counted + 'static>(
        &self,
        family: Family,
        bounds: &[f64],
    ) -> Result<Vector<T>, prometheus::Error> {
        let vector = Vector::new(family, bounds);
        let mut families = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match families.insert(family.name(), vector.written()) {
            Some(_) => Err(prometheus::Error::AlreadyReg),
            None => Ok(vector),
        }
    }

    fn only<T: Counted + 'static>(&self, family: Family, bounds: &[f64]) -> Result<T, prometheus::Error> {
        Ok(self.add::<T>(family, bounds)?.with_label_values(&[]))
    }

    pub(super) fn counters(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Result<Vector<IntCounter>, prometheus::Error> {
        self.add(Family::counter(name, labels, help), &[])
    }

    pub(super) fn counter(
        &self,
        name: &'static str,
        help: &'static str,
    ) -> Result<IntCounter, prometheus::Error> {
        self.only(Family::counter(name, &[], help), &[])
    }

    pub(super) fn gauge(
        &self,
        name: &'static str,
        help: &'static str,
    ) -> Result<IntGauge, prometheus::Error> {
        self.only(Family::gauge(name, &[], help), &[])
    }

    pub(super) fn float_gauge(
        &self,
        name: &'static str,
        help: &'static str,
    ) -> Result<Gauge, prometheus::Error> {
        self.only(Family::gauge(name, &[], help), &[])
    }

    pub(super) fn gauges(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Result<Vector<IntGauge>, prometheus::Error> {
        self.add(Family::gauge(name, labels, help), &[])
    }

    pub(super) fn float_gauges(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Result<Vector<Gauge>, prometheus::Error> {
        self.add(Family::gauge(name, labels, help), &[])
    }

    pub(super) fn histograms(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
        buckets: &[f64],
    ) -> Result<Vector<Histogram>, prometheus::Error> {
        self.add(Family::histogram(name, labels, help), buckets)
    }

    pub(super) fn histogram(
        &self,
        name: &'static str,
        help: &'static str,
        buckets: &[f64],
    ) -> Result<Histogram, prometheus::Error> {
        self.only(Family::histogram(name, &[], help), buckets)
    }
}
