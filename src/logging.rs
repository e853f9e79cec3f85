//! Log lines on stderr, as text or JSON, with UTC times. Invariant: standard output stays free for what a command prints.

use std::io::{self, IsTerminal};

use tracing::Dispatch;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LOG_LEVELS, Log, LogFormat};

/// Starts logging for the whole process; where something logs already, that stays.
///
/// Lines of the exporter itself appear from `log.level` on, those of its libraries from `warn` on. The environment variable
/// `RUST_LOG`, where it is set and can be understood, replaces both.
pub fn init(log: Log) {
    let filter = match std::env::var("RUST_LOG") {
        Ok(directives) if !directives.is_empty() => EnvFilter::try_new(directives),
        _ => EnvFilter::try_new(directives(log)),
    };
    let filter = filter.unwrap_or_else(|_| EnvFilter::new(directives(log)));
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    // An error means that a subscriber is there already: that of a test, or of a program around this library.
    let _already = dispatch(log.format, filter, colours, io::stderr).try_init();
}

/// The filter for a level: for this crate's own targets, and `warn` for all others.
fn directives(log: Log) -> String {
    let level = LOG_LEVELS.iter().find(|(_, level)| *level == log.level).map_or("info", |(name, _)| name);
    let others = if level == "error" { "error" } else { "warn" };
    format!("{others},{}={level}", env!("CARGO_CRATE_NAME"))
}

fn dispatch<W>(format: LogFormat, filter: EnvFilter, colours: bool, writer: W) -> Dispatch
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(colours);
    match format {
        LogFormat::Text => builder.into(),
        LogFormat::Json => builder.json().flatten_event(true).into(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::config::LogLevel;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(log: Log) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let dispatch = dispatch(log.format, EnvFilter::new(directives(log)), false, move || writer.clone());
        tracing::dispatcher::with_default(&dispatch, || {
            tracing::debug!(pages = 3, "swept");
            tracing::info!(pages = 4, "swept");
            tracing::info!(target: "hyper::proto", "noise");
            tracing::warn!(target: "hyper::proto", "trouble");
        });
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn text_has_utc_times_no_colours_and_the_level_is_for_this_crate_only() {
        let text = written(Log { level: LogLevel::Info, format: LogFormat::Text });
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[0].contains("INFO") && lines[0].contains("swept pages=4"), "{text}");
        assert!(lines[1].contains("WARN") && lines[1].contains("trouble"), "{text}");
        let time = lines[0].split_whitespace().next().unwrap();
        assert!(time.ends_with('Z') && time.parse::<jiff::Timestamp>().is_ok(), "{time}");
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn json_is_one_object_a_line_with_the_fields_at_the_top() {
        let text = written(Log { level: LogLevel::Debug, format: LogFormat::Json });
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert_eq!((&lines[0]["level"], &lines[0]["pages"]), (&"DEBUG".into(), &3.into()));
        assert_eq!(lines[0]["message"], "swept");
    }

    #[test]
    fn at_error_libraries_are_no_louder_than_the_exporter() {
        assert_eq!(written(Log { level: LogLevel::Error, format: LogFormat::Text }), "");
    }
}
