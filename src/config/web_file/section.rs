//! A map of the web configuration file, and what is wrong with it. Invariant: a value is never part of a message.

use std::collections::HashSet;
use std::fmt::Display;
use std::time::Duration;

use ::config::{Map, Value, ValueKind};

use super::super::error::{Place, Problem};
use super::super::schema;
use super::super::yaml::Tree;

/// A map and its path; problems are noted where they stand.
pub(super) struct Section<'a> {
    path: String,
    value: &'a Value,
    quoted: &'a HashSet<String>,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Section<'a> {
    /// The whole file; an empty one has no keys.
    pub(super) fn root(tree: &'a Tree, problems: &'a mut Vec<Problem>) -> Self {
        Self { path: String::new(), value: &tree.root, quoted: &tree.quoted, problems }
    }

    /// The section of this name, if there is one.
    pub(super) fn section(&mut self, name: &str) -> Option<Section<'_>> {
        let value = self.get(name)?;
        let path = schema::join(&self.path, name);
        if !matches!(value.kind, ValueKind::Table(_)) {
            self.fail(name, "expected a section with keys");
            return None;
        }
        Some(Section { path, value, quoted: self.quoted, problems: self.problems })
    }

    /// Notes every key that is not among these.
    pub(super) fn only(&mut self, known: &[&str]) {
        for name in self.names().into_iter().filter(|name| !known.contains(&name.as_str())) {
            let distance = |known: &&&str| strsim::damerau_levenshtein(known, &name);
            let nearest = known.iter().min_by_key(distance);
            let near = nearest.filter(|nearest| distance(nearest) <= 1 + nearest.len() / 4);
            // A key that resembles none may be a value in the wrong place, and that a secret.
            let (shown, advice) = match near {
                Some(known) => (name.as_str(), format!("did you mean {known}?")),
                None => ("(a key not shown here)", format!("known here: {}", known.join(", "))),
            };
            let key = schema::join(&self.path, shown);
            let place = self.place(&name);
            self.problems.push(Problem::new(place, key, format!("unknown key; {advice}")));
        }
    }

    /// Every key, in order.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.map().into_iter().flat_map(Map::keys).cloned().collect();
        names.sort();
        names
    }

    /// One value; `parse` says what was expected.
    pub(super) fn read<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let result = text(self.get(name)?).and_then(parse);
        result.map_err(|message| self.fail(name, message)).ok()
    }

    /// As [`Section::read`]; an empty text counts as not there, as where Go has an empty string for both.
    pub(super) fn read_filled<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let is_empty = matches!(&self.get(name)?.kind, ValueKind::String(text) if text.is_empty());
        if is_empty { None } else { self.read(name, parse) }
    }

    /// As [`Section::read`], of what is a truth value or a number: in quotes it would be text, which it is to Go.
    pub(super) fn read_plain<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let is_quoted = self.is_quoted(name);
        self.read(name, |text| match parse(text) {
            Ok(_) if is_quoted => Err("expected it without quotes".to_owned()),
            result => result,
        })
    }

    /// As [`Section::read`], of a key that is not to stand without a value: there, null is the empty text. Messages name
    /// it as `shown`.
    pub(super) fn read_or_null<T>(
        &mut self,
        name: &str,
        shown: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.map()?.get(name)?;
        let result = if value.kind == ValueKind::Nil { parse("") } else { text(value).and_then(parse) };
        result.map_err(|message| self.note(name, shown, message)).ok()
    }

    /// Whether nothing stands at a key.
    pub(super) fn is_empty(&self, name: &str) -> bool {
        match self.get(name).map(|value| &value.kind) {
            None => true,
            Some(ValueKind::String(text)) => text.is_empty(),
            Some(_) => false,
        }
    }

    /// Whether what stands at a key is in quotes or in a block.
    pub(super) fn is_quoted(&self, name: &str) -> bool {
        self.quoted.contains(&schema::join(&self.path, name))
    }

    /// A list of values; `None` where it is not there.
    pub(super) fn list<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let ValueKind::Array(items) = &self.get(name)?.kind else {
            self.fail(name, format!("expected a list, such as `{name}: [a, b]`"));
            return None;
        };
        let mut read = Vec::new();
        for (index, item) in items.iter().enumerate() {
            match text(item).and_then(&parse) {
                Ok(value) => read.push(value),
                Err(message) => {
                    let key = schema::join(&self.path, &format!("{name}[{index}]"));
                    self.problems.push(Problem::new(Place::from_origin(item.origin()), key, message));
                }
            }
        }
        Some(read)
    }

    /// Whether something was wrong at this key.
    pub(super) fn has_failed(&self, name: &str) -> bool {
        let key = schema::join(&self.path, name);
        self.problems.iter().any(|problem| problem.key.starts_with(&key))
    }

    /// Notes what is wrong with a key, or with its absence.
    pub(super) fn fail(&mut self, name: &str, message: impl Display) {
        self.note(name, name, message.to_string());
    }

    fn note(&mut self, name: &str, shown: &str, message: String) {
        let place = self.place(name);
        self.problems.push(Problem::new(place, schema::join(&self.path, shown), message));
    }

    fn place(&self, name: &str) -> Place {
        let value = self.map().and_then(|map| map.get(name)).unwrap_or(self.value);
        Place::from_origin(value.origin())
    }

    fn map(&self) -> Option<&'a Map<String, Value>> {
        match &self.value.kind {
            ValueKind::Table(map) => Some(map),
            _ => None,
        }
    }

    /// What stands at a key, unless it is null.
    fn get(&self, name: &str) -> Option<&'a Value> {
        self.map()?.get(name).filter(|value| value.kind != ValueKind::Nil)
    }
}

fn text(value: &Value) -> Result<&str, String> {
    match &value.kind {
        ValueKind::String(text) => Ok(text),
        _ => Err("expected one value, not a list or a section".to_owned()),
    }
}

/// A truth value in the words of YAML 1.1, which the toolkit reads: small, with a capital, or all in capitals.
pub(super) fn truth(text: &str) -> Result<bool, String> {
    match text {
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => Ok(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" => Ok(false),
        _ => Err("expected true or false".to_owned()),
    }
}

/// A duration as Go writes it and as far as it goes there, about 292 years: `500ms`, `1m30s`, `1.5s`; a bare number is
/// nanoseconds.
pub(super) fn go_duration(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, u128); 8] = [
        ("ns", 1),
        ("us", 1_000),
        // The micro sign, and the Greek letter.
        ("\u{b5}s", 1_000),
        ("\u{3bc}s", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    let expected = || "expected a duration such as 500ms, 1s or 1m30s".to_owned();
    let too_long = || "expected a duration of at most 292 years".to_owned();
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let (mut rest, mut total) = (text, 0_u128);
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c| !is_number(c)).unwrap_or(rest.len()));
        let (unit, after) = after.split_at(after.find(is_number).unwrap_or(after.len()));
        let is_bare = number == text && !number.contains('.');
        let factor = UNITS.iter().find(|(known, _)| *known == unit).map(|(_, factor)| *factor);
        let factor = factor.or(is_bare.then_some(1)).ok_or_else(expected)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.len() + fraction.len() == 0 || fraction.contains('.') {
            return Err(expected());
        }
        // What is behind these digits is less than a nanosecond, of any unit.
        let fraction = &fraction[..fraction.len().min(18)];
        let digits = |digits: &str| format!("0{digits}").parse::<u64>().map_err(|_| too_long());
        let parts = u128::from(digits(whole)?) * factor
            + u128::from(digits(fraction)?) * factor / 10_u128.pow(fraction.len().try_into().unwrap_or(18));
        total = total.saturating_add(parts);
        rest = after;
    }
    if text.is_empty() {
        return Err(expected());
    }
    let nanoseconds = i64::try_from(total).map_err(|_| too_long())?;
    Ok(Duration::from_nanos(nanoseconds.unsigned_abs()))
}
