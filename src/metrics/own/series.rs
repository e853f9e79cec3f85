//! The series of the exporter's own families: counted in the `prometheus` crate's atomics, written by hand. Gathering and
//! encoding with that crate costs a scrape more than all the rest of it.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use prometheus::core::Metric;
use prometheus::{Gauge, Histogram, HistogramOpts, IntCounter, IntGauge};

use super::template::Template;
use crate::metrics::labels::write_pairs;
use crate::metrics::lines::{self, float};
use crate::metrics::{Family, Kind};
use crate::model::Format;

/// A family that can be written.
pub(super) trait Written: fmt::Debug + Send + Sync {
    /// What it is called and means.
    fn family(&self) -> &Family;
    /// Writes it; `values` is room for its values.
    fn write(&self, format: Format, values: &mut Vec<f64>, out: &mut Vec<u8>);
}

/// What one series counts; clones share it.
pub(super) trait Counted: Clone + fmt::Debug + Send + Sync {
    /// Begins at zero, with these upper bounds where it is a histogram.
    fn begin(bounds: &[f64]) -> Self;

    /// Adds the lines of the series with these labels.
    fn add_lines(template: &mut Template, family: &Family, labels: &[u8], _bounds: &[f64]) {
        template.add(|out| lines::sample(out, family, labels, &[]));
    }

    /// Adds its values, one for each line.
    fn read(&self, values: &mut Vec<f64>);
}

/// The series of a family by the values of its labels, in their order. They are few: a list is looked through.
#[derive(Clone, Debug)]
pub struct Vector<T>(Arc<Inner<T>>);

#[derive(Debug)]
struct Inner<T> {
    family: Family,
    bounds: Vec<f64>,
    series: RwLock<Series<T>>,
}

#[derive(Debug)]
struct Series<T> {
    children: Vec<Child>,
    /// What each of them counts, side by side: a scrape reads nothing else of them.
    counted: Vec<T>,
    /// Of all of them, in their order.
    template: Template,
}

#[derive(Debug)]
struct Child {
    values: Vec<String>,
    /// As they are written.
    labels: Vec<u8>,
}

impl<T: Counted> Series<T> {
    fn order(&self, values: &[&str]) -> Result<usize, usize> {
        self.children
            .binary_search_by(|child| child.values.iter().map(String::as_str).cmp(values.iter().copied()))
    }

    fn prepare(&mut self, family: &Family, bounds: &[f64]) {
        self.template = Template::new(family);
        for child in &self.children {
            T::add_lines(&mut self.template, family, &child.labels, bounds);
        }
    }
}

impl<T: Counted> Vector<T> {
    pub(super) fn new(family: Family, bounds: &[f64]) -> Self {
        // Where there is none, or the last one is infinite, the crate has others than these.
        debug_assert!(family.kind != Kind::Histogram || bounds.last().is_some_and(|bound| bound.is_finite()));
        let series = Series { children: Vec::new(), counted: Vec::new(), template: Template::new(&family) };
        Self(Arc::new(Inner { family, bounds: bounds.to_vec(), series: series.into() }))
    }

    /// The series with these values of its labels, in order; it begins with the first call.
    pub(super) fn with_label_values(&self, values: &[&str]) -> T {
        let Inner { family, bounds, series } = &*self.0;
        debug_assert_eq!(family.labels.len(), values.len(), "{}", family.name);
        // No step of a change panics while the lock is held, short of running out of memory.
        let known = series.read().unwrap_or_else(PoisonError::into_inner);
        if let Ok(place) = known.order(values) {
            return known.counted[place].clone();
        }
        drop(known);
        let mut known = series.write().unwrap_or_else(PoisonError::into_inner);
        let place = match known.order(values) {
            Ok(place) => return known.counted[place].clone(),
            Err(place) => place,
        };
        let counted = T::begin(bounds);
        let mut labels = Vec::new();
        write_pairs(&mut labels, family.labels, values);
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        known.children.insert(place, Child { values, labels });
        known.counted.insert(place, counted.clone());
        known.prepare(family, bounds);
        counted
    }

    /// Ends the series with these values, if there is one.
    pub(super) fn remove_label_values(&self, values: &[&str]) {
        let Inner { family, bounds, series } = &*self.0;
        let mut known = series.write().unwrap_or_else(PoisonError::into_inner);
        if let Ok(place) = known.order(values) {
            known.children.remove(place);
            known.counted.remove(place);
            known.prepare(family, bounds);
        }
    }

    /// To be written.
    pub(super) fn written(&self) -> Arc<dyn Written>
    where
        T: 'static,
    {
        Arc::<Inner<T>>::clone(&self.0)
    }
}

impl<T: Counted> Written for Inner<T> {
    fn family(&self) -> &Family {
        &self.family
    }

    fn write(&self, format: Format, values: &mut Vec<f64>, out: &mut Vec<u8>) {
        let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
        // All of them first: they lie all over the memory, and the processor waits for many at a time where it can.
        values.clear();
        for counted in &series.counted {
            counted.read(values);
        }
        series.template.write(format, values, out);
    }
}

impl Counted for IntCounter {
    fn begin(_: &[f64]) -> Self {
        made(Self::new("series", "series"))
    }

    fn read(&self, values: &mut Vec<f64>) {
        values.push(float(self.get()));
    }
}

impl Counted for IntGauge {
    fn begin(_: &[f64]) -> Self {
        made(Self::new("series", "series"))
    }

    #[expect(clippy::cast_precision_loss, reason = "samples are floats; counts stay below 2^53")]
    fn read(&self, values: &mut Vec<f64>) {
        values.push(self.get() as f64);
    }
}

impl Counted for Gauge {
    fn begin(_: &[f64]) -> Self {
        made(Self::new("series", "series"))
    }

    fn read(&self, values: &mut Vec<f64>) {
        values.push(self.get());
    }
}

impl Counted for Histogram {
    fn begin(bounds: &[f64]) -> Self {
        made(Self::with_opts(HistogramOpts::new("series", "series").buckets(bounds.to_vec())))
    }

    fn add_lines(template: &mut Template, family: &Family, labels: &[u8], bounds: &[f64]) {
        for bound in bounds.iter().copied().chain([f64::INFINITY]) {
            template.add(|out| lines::bucket(out, family, labels, bound));
        }
        for suffix in lines::TOTALS {
            template.add(|out| lines::series(out, family, family.name, suffix, labels, &[]));
        }
    }

    fn read(&self, values: &mut Vec<f64>) {
        let metric = self.metric();
        let histogram = metric.get_histogram();
        values.extend(histogram.get_bucket().iter().map(|bucket| float(bucket.cumulative_count())));
        let count = float(histogram.get_sample_count());
        values.extend([count, histogram.get_sample_sum(), count]);
    }
}

/// What the crate makes of a name and bounds that are constants here.
#[expect(clippy::expect_used, reason = "the name is valid, and the bounds of every family rise")]
fn made<T>(series: Result<T, prometheus::Error>) -> T {
    series.expect("a valid name and rising bounds")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples<T: Counted + 'static>(vector: &Vector<T>) -> Vec<String> {
        let mut out = Vec::new();
        vector.written().write(Format::Text, &mut Vec::new(), &mut out);
        let text = String::from_utf8(out).unwrap().replace("emr_serverless_spark_", "");
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    }

    #[test]
    fn series_come_and_go_with_their_lines() {
        let vector: Vector<IntCounter> = Vector::new(Family::counter("c_total", &["a"], "h"), &[]);
        assert!(samples(&vector).is_empty());
        for (value, count) in [("y", 2), ("x", 1), ("z", 3)] {
            vector.with_label_values(&[value]).inc_by(count);
        }
        assert_eq!(samples(&vector), ["c_total{a=\"x\"} 1", "c_total{a=\"y\"} 2", "c_total{a=\"z\"} 3"]);
        vector.remove_label_values(&["y"]);
        vector.remove_label_values(&["unknown"]);
        assert_eq!(samples(&vector), ["c_total{a=\"x\"} 1", "c_total{a=\"z\"} 3"]);
        vector.with_label_values(&["y"]).inc();
        assert_eq!(samples(&vector), ["c_total{a=\"x\"} 1", "c_total{a=\"y\"} 1", "c_total{a=\"z\"} 3"]);
    }

    #[test]
    fn a_histogram_has_a_line_for_each_bound_its_sum_and_its_count() {
        let vector: Vector<Histogram> = Vector::new(Family::histogram("h_seconds", &[], "h"), &[0.5, 2.0]);
        let series = vector.with_label_values(&[]);
        for seconds in [0.25, 1.0, 4.0] {
            series.observe(seconds);
        }
        let expected = [
            "h_seconds_bucket{le=\"0.5\"} 1",
            "h_seconds_bucket{le=\"2.0\"} 2",
            "h_seconds_bucket{le=\"+Inf\"} 3",
            "h_seconds_sum 5.25",
            "h_seconds_count 3",
        ];
        assert_eq!(samples(&vector), expected);
    }
}
