//! A metrics page as tests look at it: `metric("livy_sessions").label("state", "running").value_in(&page)`.

use std::collections::BTreeMap;
use std::fmt;

/// What every family of the exporter begins with.
pub const PREFIX: &str = "emr_serverless_spark_";

/// A series: its name, without the prefix that all share, and its labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    pub name: String,
    pub labels: BTreeMap<String, String>,
}

impl Series {
    pub fn new(name: &str, labels: &[(&str, &str)]) -> Self {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { name: name.to_owned(), labels }
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", self.name, self.labels)
    }
}

/// The samples of a page in text format 0.0.4.
#[derive(Clone, Debug, Default)]
pub struct Page {
    pub text: String,
    pub samples: BTreeMap<Series, f64>,
}

impl Page {
    /// Reads a page; panics where it breaks the format or repeats a series.
    pub fn parse(text: String) -> Self {
        let mut samples = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let (series, value) = sample(line).unwrap_or_else(|| panic!("not a sample: {line}"));
            assert!(samples.insert(series, value).is_none(), "a second time: {line}");
        }
        Self { text, samples }
    }
}

fn sample(line: &str) -> Option<(Series, f64)> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            labels.insert(label.to_owned(), value);
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &rest[1..];
    }
    let name = name.strip_prefix(PREFIX).unwrap_or(name).to_owned();
    Some((Series { name, labels }, rest.trim().parse().ok()?))
}

/// The text up to the closing quote, and what comes after that.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    loop {
        match characters.next()? {
            (at, '"') => return Some((value, &text[at + 1..])),
            (_, '\\') => value.push(match characters.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            (_, other) => value.push(other),
        }
    }
}

/// Samples of a family, to be narrowed by labels.
pub fn metric(name: &str) -> Matcher {
    Matcher(Series::new(name, &[]))
}

/// See [`metric`].
#[derive(Clone, Debug)]
pub struct Matcher(Series);

impl Matcher {
    /// Only those with this label.
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.0.labels.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The values of all samples that match.
    pub fn values_in(&self, page: &Page) -> Vec<f64> {
        let fits = |series: &Series| {
            series.name == self.0.name
                && self.0.labels.iter().all(|(name, value)| series.labels.get(name) == Some(value))
        };
        page.samples.iter().filter(|(series, _)| fits(series)).map(|(_, value)| *value).collect()
    }

    /// The value of the one sample that matches; `None` where there is none. Panics where there are several.
    pub fn value_in(&self, page: &Page) -> Option<f64> {
        let values = self.values_in(page);
        assert!(values.len() <= 1, "{} matches {} samples", self.0, values.len());
        values.first().copied()
    }

    /// How many samples match.
    pub fn count_in(&self, page: &Page) -> usize {
        self.values_in(page).len()
    }

    /// The sum of all samples that match.
    pub fn sum_in(&self, page: &Page) -> f64 {
        self.values_in(page).iter().sum()
    }

    /// Asserts that one sample matches, with this value.
    #[track_caller]
    pub fn assert_in(&self, page: &Page, value: f64) {
        assert_eq!(self.value_in(page), Some(value), "{}", self.0);
    }
}

#[test]
fn a_page_is_read_as_it_was_meant() {
    let page = Page::parse(
        "# HELP emr_serverless_spark_a_total A.\n# TYPE emr_serverless_spark_a_total counter\n\
         emr_serverless_spark_a_total{queue=\"a \\\"b\\\\,}\\n\",state=\"x\"} 1.5\n\
         emr_serverless_spark_a_total{queue=\"\",state=\"x\"} 2\nprocess_threads 7\n"
            .to_owned(),
    );
    assert_eq!(metric("a_total").label("queue", "a \"b\\,}\n").value_in(&page), Some(1.5));
    assert_eq!(metric("a_total").label("state", "x").sum_in(&page), 3.5);
    assert_eq!(metric("a_total").label("state", "y").value_in(&page), None);
    metric("process_threads").assert_in(&page, 7.0);
}
