//! What is wrong with the settings, all of it at once.
//! Invariant: a message holds a value only where [`super::schema::shown`] allowed it.

use std::fmt;
use std::path::{Path, PathBuf};

/// Where a value was written. The order is that of the message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// A line of the file, from 1.
    Line(usize),
    /// An environment variable.
    Environment(String),
    /// A flag of the command line.
    Flag(String),
    /// Nowhere: a value that is missing, or a default.
    Nowhere,
}

impl Place {
    /// The place that an origin of the `config` crate, written by `Display`, stands for.
    pub(super) fn from_origin(origin: Option<&str>) -> Self {
        let origin = origin.unwrap_or_default();
        if let Some(line) = origin.strip_prefix("line ").and_then(|line| line.parse().ok()) {
            Self::Line(line)
        } else if let Some(name) = origin.strip_prefix("environment ") {
            Self::Environment(name.to_owned())
        } else if let Some(name) = origin.strip_prefix("flag ") {
            Self::Flag(name.to_owned())
        } else {
            Self::Nowhere
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
            Self::Nowhere => Ok(()),
        }
    }
}

/// One error: where, which key (empty for the file as a whole), what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Problem {
    pub(super) place: Place,
    pub(super) key: String,
    pub(super) message: String,
}

impl Problem {
    /// An error of the key at this path.
    pub(super) fn new(place: Place, key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place, key: key.into(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place != Place::Nowhere {
            write!(f, "{}: ", self.place)?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// Everything that is wrong with the settings; never empty, and free of secrets.
///
/// `Display` gives a headline with the file and the count, then one error a line: those of the file by line,
/// then those of the environment, of the flags, and of values that are missing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors {
    file: Option<PathBuf>,
    problems: Vec<Problem>,
}

impl ConfigErrors {
    /// Sorts the problems and drops repetitions.
    pub(super) fn new(file: Option<&Path>, mut problems: Vec<Problem>) -> Self {
        problems.sort();
        problems.dedup();
        Self { file: file.map(Path::to_path_buf), problems }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}: ", file.display())?;
        }
        match self.problems.len() {
            1 => write!(f, "1 configuration error")?,
            count => write!(f, "{count} configuration errors")?,
        }
        self.problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_the_config_crate() {
        for place in [
            Place::Line(7),
            Place::Environment("EMR_SPARK_EXPORTER__API__RETRIES".into()),
            Place::Flag("--log.level".into()),
            Place::Nowhere,
        ] {
            assert_eq!(Place::from_origin(Some(&place.to_string())), place);
        }
        assert_eq!(Place::from_origin(None), Place::Nowhere);
    }

    #[test]
    fn errors_are_listed_in_the_order_of_their_places_each_once() {
        let problem = |place| Problem::new(place, "api.retries", "no");
        let errors = ConfigErrors::new(
            Some(Path::new("e.yaml")),
            vec![
                problem(Place::Nowhere),
                problem(Place::Environment("E".into())),
                problem(Place::Line(10)),
                problem(Place::Line(9)),
                problem(Place::Line(9)),
            ],
        );
        assert_eq!(
            errors.to_string(),
            "e.yaml: 4 configuration errors\n  line 9: api.retries: no\n  line 10: api.retries: no\n  \
             environment E: api.retries: no\n  api.retries: no"
        );
    }
}
