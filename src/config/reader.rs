//! Typed reading of the merged tree, all errors collected. Invariant: `None` from a reading method means that a problem was noted.

use std::fmt::Display;

use ::config::{Value, ValueKind};

use super::error::{Place, Problem};
use super::schema;

/// The merged settings and what is wrong with them so far.
pub(super) struct Reader {
    root: Value,
    problems: Vec<Problem>,
}

impl Reader {
    /// Over the merged tree, with the problems that its sources had.
    pub(super) fn new(root: Value, problems: Vec<Problem>) -> Self {
        Self { root, problems }
    }

    /// Everything that was noted.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// Reads a key that has a default. `parse` says in its error what was expected.
    pub(super) fn read<T>(&mut self, path: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let default = schema::key(path).and_then(|key| key.default);
        self.optional(path, |text| parse(text).map(Some))?.or_else(|| parse(default?).ok())
    }

    /// Reads a key without a default; `Some(None)` where it is not given.
    pub(super) fn optional<T>(
        &mut self,
        path: &str,
        parse: impl Fn(&str) -> Result<Option<T>, String>,
    ) -> Option<Option<T>> {
        let Some((text, place)) = self.text(path) else { return Some(None) };
        match parse(&text) {
            Ok(value) => Some(value),
            Err(expected) => {
                let message = format!("{expected}{}", schema::shown(path, &text));
                self.problems.push(Problem::new(place, path, message));
                None
            }
        }
    }

    /// Reads each item of a list; the default where it is not given, nothing where that is none.
    pub(super) fn list<T>(
        &mut self,
        path: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let Some(ValueKind::Array(items)) = self.find(path).map(|value| &value.kind) else {
            let default = schema::key(path).and_then(|key| key.default).unwrap_or_default();
            return default.split(',').filter(|item| !item.is_empty()).map(|item| parse(item).ok()).collect();
        };
        let paths = (0..items.len()).map(|i| format!("{path}[{i}]")).collect::<Vec<_>>();
        let mut read = Vec::new();
        for path in paths {
            if !self.is_given(&path) && !self.has_failed(&path) {
                self.fail(&path, "an empty item; leave it out, and number the items from 0 without a gap");
            }
            read.push(self.optional(&path, |text| parse(text).map(Some)));
        }
        read.into_iter().map(Option::flatten).collect()
    }

    /// Reads each text of a map, in the order of the names; nothing where it is not given.
    pub(super) fn map<T>(
        &mut self,
        path: &str,
        parse: impl Fn(&str, &str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let Some(ValueKind::Table(map)) = self.find(path).map(|value| &value.kind) else {
            return Some(Vec::new());
        };
        let texts = map.iter().filter_map(|(name, value)| match &value.kind {
            ValueKind::String(text) => Some((name.clone(), text.clone(), Place::from_origin(value.origin()))),
            _ => None,
        });
        let mut texts: Vec<_> = texts.collect();
        texts.sort();
        let read = texts.into_iter().map(|(name, text, place)| {
            parse(&name, &text).map_err(|expected| {
                let path = format!("{path}.{name}");
                let message = format!("{expected}{}", schema::shown(&path, &text));
                self.problems.push(Problem::new(place, path, message));
            })
        });
        read.collect::<Vec<_>>().into_iter().map(Result::ok).collect()
    }

    /// The number of items in a list of sections; `None` where it is not given.
    pub(super) fn count(&self, path: &str) -> Option<usize> {
        match &self.find(path)?.kind {
            ValueKind::Array(items) => Some(items.len()),
            _ => None,
        }
    }

    /// Whether something stands at the path.
    pub(super) fn is_given(&self, path: &str) -> bool {
        self.find(path).is_some_and(|value| value.kind != ValueKind::Nil)
    }

    /// Whether something else than the default stands at the path.
    pub(super) fn is_changed(&self, path: &str) -> bool {
        let default = schema::key(path).and_then(|key| key.default);
        self.is_given(path) && self.text(path).is_none_or(|(text, _)| Some(text.as_str()) != default)
    }

    /// Whether a problem was noted at the path or below it.
    pub(super) fn has_failed(&self, path: &str) -> bool {
        let below = |key: &str| {
            key.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.problems.iter().any(|problem| below(&problem.key))
    }

    /// Notes what is wrong with a key, at the place where it was set.
    pub(super) fn fail(&mut self, path: &str, message: impl Display) {
        let place = self.find(path).map_or(Place::Nowhere, |value| Place::from_origin(value.origin()));
        self.problems.push(Problem::new(place, path, message.to_string()));
    }

    /// Notes what is wrong between two keys, at the first that is not at its default.
    pub(super) fn fail_either(&mut self, paths: [&str; 2], message: &str) {
        let path = paths.iter().find(|path| self.is_given(path)).unwrap_or(&paths[0]);
        self.fail(path, message);
    }

    /// Notes what is wrong with a value that was set outside the settings.
    pub(super) fn fail_at(&mut self, place: Place, message: impl Display) {
        self.problems.push(Problem::new(place, "", message.to_string()));
    }

    fn text(&self, path: &str) -> Option<(String, Place)> {
        let value = self.find(path)?;
        match &value.kind {
            ValueKind::String(text) => Some((text.clone(), Place::from_origin(value.origin()))),
            _ => None,
        }
    }

    fn find(&self, path: &str) -> Option<&Value> {
        path.split('.').try_fold(&self.root, |value, part| {
            let (name, index) = match part.split_once('[') {
                Some((name, index)) => (name, Some(index.strip_suffix(']')?.parse::<usize>().ok()?)),
                None => (part, None),
            };
            let ValueKind::Table(map) = &value.kind else { return None };
            let child = map.get(name)?;
            match (index, &child.kind) {
                (Some(index), ValueKind::Array(items)) => items.get(index),
                (Some(_), _) => None,
                (None, _) => Some(child),
            }
        })
    }
}
