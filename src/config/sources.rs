//! File, environment and flags as sources of the `config` crate. Invariant: a source yields known keys in their right
//! shape only; whatever else was written is a [`Problem`].

use std::collections::BTreeMap;
use std::path::Path;

use ::config::{ConfigError, Map, Source, Value, ValueKind};

use super::error::{Place, Problem};
use super::files::read_text;
use super::schema::{self, Shape};
use super::yaml;

/// What every variable for the settings starts with. The second `_` keeps clear of the service links of Kubernetes:
/// a Service `emr-spark-exporter` puts `EMR_SPARK_EXPORTER_PORT=tcp://…` into every pod of its namespace.
pub(super) const PREFIX: &str = "EMR_SPARK_EXPORTER__";

/// Items that environment and flags may number in a list: 0 to 99.
const INDEX_MAX: usize = 99;

/// Values by path, to be laid over those of the sources before.
#[derive(Clone, Debug)]
pub(super) struct Layer(Map<String, Value>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

/// The settings of a YAML file.
///
/// # Errors
/// What makes the file unusable as a whole: it cannot be read, is not UTF-8, not YAML, or has duplicated keys.
pub(super) fn file(path: &Path, problems: &mut Vec<Problem>) -> Result<Layer, Vec<Problem>> {
    let text = read_text(path).map_err(|message| vec![Problem::new(Place::Nowhere, "", message)])?;
    let root = yaml::parse(&text)?.root;
    match prune(&root, "", problems).map(|value| value.kind) {
        Some(ValueKind::Table(map)) => Ok(Layer(map)),
        _ => Ok(Layer(Map::new())),
    }
}

/// The value with its nulls, unknown keys and wrong shapes left out, the latter two as problems.
fn prune(value: &Value, path: &str, problems: &mut Vec<Problem>) -> Option<Value> {
    let place = Place::from_origin(value.origin());
    let kind = match (schema::shape(path), &value.kind) {
        // A section whose keys are all commented out is null, too.
        (_, ValueKind::Nil) => return None,
        (Some(Shape::Text), ValueKind::String(_)) => return Some(value.clone()),
        (Some(Shape::Section | Shape::Map), ValueKind::Table(map)) => {
            ValueKind::Table(prune_section(map, path, problems))
        }
        // One item may stand without its brackets.
        (Some(Shape::List), ValueKind::String(_)) if schema::takes_one(path) => {
            ValueKind::Array(vec![value.clone()])
        }
        // What is wrong or null in a list stays as a null, so that the items after it keep their index.
        (Some(Shape::Sections | Shape::List), ValueKind::Array(items)) => ValueKind::Array(
            items
                .iter()
                .enumerate()
                .map(|(i, item)| {
                    let null = || Value::new(item.origin().map(str::to_owned).as_ref(), ValueKind::Nil);
                    prune(item, &format!("{path}[{i}]"), problems).unwrap_or_else(null)
                })
                .collect(),
        ),
        (shape, _) => {
            problems.push(Problem::new(place, path, expectation(path, shape)));
            return None;
        }
    };
    Some(Value::new(Some(&place.to_string()), kind))
}

fn prune_section(map: &Map<String, Value>, path: &str, problems: &mut Vec<Problem>) -> Map<String, Value> {
    let mut known = Map::new();
    for (name, value) in map {
        let child = schema::join(path, name);
        if schema::shape(&child).is_none() {
            let message = format!("unknown key; {}", schema::advice(path, name));
            let place = Place::from_origin(value.origin());
            problems.push(Problem::new(place, schema::shown_path(path, name), message));
        } else if let Some(value) = prune(value, &child, problems) {
            known.insert(name.clone(), value);
        }
    }
    known
}

/// The shape that was expected, without a word about what stands there: it may be a secret.
fn expectation(path: &str, shape: Option<Shape>) -> String {
    let name = path.rsplit('.').next().unwrap_or(path);
    match shape {
        Some(Shape::Section) => format!("expected a section with keys, such as `{}: …`", first_name(path)),
        Some(Shape::Sections) => format!(
            "expected a list, each item of which starts with `- {}: …`",
            first_name(&format!("{path}[0]"))
        ),
        Some(Shape::List) => format!("expected a list, such as `{name}: [a, b]`"),
        Some(Shape::Map) => {
            format!("expected names with values, such as `{name}: {{team: data, env: prod-*}}`")
        }
        _ => "expected one value, not a list or a section".to_owned(),
    }
}

fn first_name(path: &str) -> &'static str {
    schema::names_in(path).first().copied().unwrap_or_default()
}

/// The settings among the variables, each as a layer of its own: [`PREFIX`], then the path in capitals, its parts joined
/// by `__`, items of lists by number from 0. An empty variable counts as not set.
pub(super) fn environment(variables: &BTreeMap<String, String>, problems: &mut Vec<Problem>) -> Vec<Layer> {
    let settings = variables.iter().filter(|(name, text)| name.starts_with(PREFIX) && !text.is_empty());
    settings
        .filter_map(|(name, text)| {
            let place = Place::Environment(name.clone());
            match path_of(&name[PREFIX.len()..]) {
                Ok(path) => assign(&path, text, place, problems),
                Err(advice) => {
                    problems.push(Problem::new(place, "", format!("no setting has this name; {advice}")));
                    None
                }
            }
        })
        .collect()
}

/// `ACCOUNTS__0__NAME` → `accounts[0].name`; where that leaves the known keys, what to write instead.
fn path_of(name: &str) -> Result<String, String> {
    if name.bytes().any(|b| b.is_ascii_lowercase()) {
        return Err("names are written in capitals".to_owned());
    }
    name.split("__").try_fold(String::new(), |path, part| {
        if matches!(schema::shape(&path), Some(Shape::Sections | Shape::List)) {
            let index = part.parse::<usize>().ok().filter(|index| *index <= INDEX_MAX);
            let numbered = "the items of a list are numbered from 0 to 99, such as ACCOUNTS__0";
            return index.map(|index| format!("{path}[{index}]")).ok_or_else(|| numbered.to_owned());
        }
        if schema::shape(&path) == Some(Shape::Map) {
            return Err(
                "all of its names and values stand in one variable, such as team=data,env=prod-*".to_owned()
            );
        }
        let part = part.to_ascii_lowercase();
        let child = schema::join(&path, &part);
        if part.is_empty() || schema::shape(&child).is_none() {
            return Err(variables_in(&schema::advice(&path, &part)));
        }
        Ok(child)
    })
}

/// Keys in a piece of advice as the variables that set them.
fn variables_in(advice: &str) -> String {
    let Some(path) = advice.strip_prefix("did you mean ").and_then(|rest| rest.strip_suffix('?')) else {
        return advice.to_owned();
    };
    let name =
        path.to_uppercase().replace('.', "__").replace("[]", "__0").replace('[', "__").replace(']', "");
    format!("did you mean {PREFIX}{name}?")
}

/// The settings that flags give.
pub(super) fn flags(overrides: &[(String, String)], problems: &mut Vec<Problem>) -> Vec<Layer> {
    overrides
        .iter()
        .filter_map(|(path, text)| {
            let place = Place::Flag(match path.as_str() {
                // As in the whole ecosystem, against the rule.
                "web.config_file" => "--web.config.file".to_owned(),
                path => format!("--{}", path.replace('_', "-")),
            });
            assign(path, text, place, problems)
        })
        .collect()
}

/// One value at `path`, from a text; the items of a list are separated by commas, those of a map look like `name=value`.
fn assign(path: &str, text: &str, place: Place, problems: &mut Vec<Problem>) -> Option<Layer> {
    let origin = place.to_string();
    let value = |text: &str| Value::new(Some(&origin), text);
    let value = match schema::shape(path) {
        Some(Shape::Text) => value(text),
        Some(Shape::List) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Value::new(Some(&origin), items.map(value).collect::<Vec<_>>())
        }
        Some(Shape::Map) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            let pairs = items.map(|item| item.split_once('=').map(|(name, text)| (name.trim(), text.trim())));
            let Some(pairs) = pairs.collect::<Option<Vec<_>>>() else {
                let message = "expected names with values, such as team=data,env=prod-*";
                problems.push(Problem::new(place, path, message));
                return None;
            };
            let map = pairs.into_iter().map(|(name, text)| (name.to_owned(), value(text)));
            Value::new(Some(&origin), map.collect::<Map<_, _>>())
        }
        Some(Shape::Section | Shape::Sections) => {
            problems.push(Problem::new(place, path, "this is a section; set its keys one by one"));
            return None;
        }
        None => {
            problems.push(Problem::new(place, path, "unknown key"));
            return None;
        }
    };
    Some(Layer(Map::from_iter([(path.to_owned(), value)])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_names_become_paths() {
        for (name, path) in [
            ("API__RETRIES", "api.retries"),
            ("ACCOUNTS__0__NAME", "accounts[0].name"),
            ("ACCOUNTS__12__WORKSPACES__INCLUDE__3", "accounts[12].workspaces.include[3]"),
        ] {
            assert_eq!(path_of(name).as_deref(), Ok(path));
        }
        for name in
            ["API__RETRY", "ACCOUNTS__NAME", "ACCOUNTS__100__NAME", "api__retries", "API__RETRIES__0", ""]
        {
            assert!(path_of(name).is_err(), "{name}");
        }
    }

    #[test]
    fn advice_for_a_variable_names_a_variable() {
        let mut problems = Vec::new();
        let variables = BTreeMap::from([(format!("{PREFIX}ACCOUNTS__1__REGION"), "x".to_owned())]);
        assert!(environment(&variables, &mut problems).is_empty());
        assert_eq!(
            problems[0].to_string(),
            "environment EMR_SPARK_EXPORTER__ACCOUNTS__1__REGION: no setting has this name; \
             did you mean EMR_SPARK_EXPORTER__ACCOUNTS__1__REGIONS?"
        );
    }
}
