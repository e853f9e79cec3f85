//! Log lines on stderr, as text or JSON, with UTC times. Invariant: standard output stays free for what a command prints.

use std::fmt;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::{Dispatch, Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{DefaultFields, Format, Full, Json, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, MakeWriter};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LOG_LEVELS, Log, LogFormat};

/// Changes what is logged, and how, while the process runs. Clones change the same.
#[derive(Clone)]
pub struct Logging {
    is_json: Arc<AtomicBool>,
    /// `None` where the level is not the settings' to say.
    set_filter: Option<Arc<dyn Fn(EnvFilter) + Send + Sync>>,
}

impl Logging {
    /// Logs as other settings say, from the next line on. False where `RUST_LOG` stands in the place of their level.
    pub fn apply(&self, log: Log) -> bool {
        self.is_json.store(log.format == LogFormat::Json, Ordering::Relaxed);
        match &self.set_filter {
            Some(set) => set(EnvFilter::new(directives(log))),
            None => return false,
        }
        true
    }
}

/// Starts logging for the whole process; where something logs already, that stays.
///
/// Lines of the exporter itself appear from `log.level` on, those of its libraries from `warn` on. The environment variable
/// `RUST_LOG`, where it is set and can be understood, replaces both.
pub fn init(log: Log) -> Logging {
    let of_environment = std::env::var("RUST_LOG")
        .ok()
        .filter(|set| !set.is_empty())
        .and_then(|set| EnvFilter::try_new(set).ok());
    let is_settings = of_environment.is_none();
    let filter = of_environment.unwrap_or_else(|| EnvFilter::new(directives(log)));
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    let (dispatch, mut logging) = dispatch(log.format, filter, colours, io::stderr);
    // An error means that a subscriber is there already: that of a test, or of a program around this library.
    let _already = dispatch.try_init();
    logging.set_filter = logging.set_filter.filter(|_| is_settings);
    logging
}

/// The filter for a level: for this crate's own targets, and `warn` for all others.
fn directives(log: Log) -> String {
    let level = LOG_LEVELS.iter().find(|(_, level)| *level == log.level).map_or("info", |(name, _)| name);
    let others = if level == "error" { "error" } else { "warn" };
    format!("{others},{}={level}", env!("CARGO_CRATE_NAME"))
}

fn dispatch<W>(format: LogFormat, filter: EnvFilter, colours: bool, writer: W) -> (Dispatch, Logging)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let is_json = Arc::new(AtomicBool::new(format == LogFormat::Json));
    let lines = Lines {
        is_json: Arc::clone(&is_json),
        text: Format::default(),
        json: Format::default().json().flatten_event(true).with_span_list(false).with_current_span(false),
    };
    let builder = tracing_subscriber::fmt()
        .with_writer(writer)
        .with_ansi(colours)
        .event_format(lines)
        .with_env_filter(filter)
        .with_filter_reloading();
    let handle = builder.reload_handle();
    let set_filter = move |filter| {
        // Fails where the subscriber is gone, and nobody logs any more.
        let _ = handle.reload(filter);
    };
    (builder.into(), Logging { is_json, set_filter: Some(Arc::new(set_filter)) })
}

/// Lines in the format of the moment. Nothing here opens spans, so neither shows any.
struct Lines {
    is_json: Arc<AtomicBool>,
    text: Format<Full>,
    json: Format<Json>,
}

impl<S> FormatEvent<S, DefaultFields> for Lines
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, DefaultFields>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if self.is_json.load(Ordering::Relaxed) {
            self.json.format_event(context, writer, event)
        } else {
            self.text.format_event(context, writer, event)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::config::LogLevel;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(log: Log) -> String {
        written_after(log, log)
    }

    /// What is written under the second settings, after a start under the first.
    fn written_after(start: Log, log: Log) -> String {
        let lines = Written::default();
        let writer = lines.clone();
        let filter = EnvFilter::new(directives(start));
        let (dispatch, logging) = dispatch(start.format, filter, false, move || writer.clone());
        tracing::dispatcher::with_default(&dispatch, || {
            assert!(logging.apply(log));
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

    #[test]
    fn level_and_format_change_while_it_runs() {
        let (quiet, loud) = (
            Log { level: LogLevel::Error, format: LogFormat::Text },
            Log { level: LogLevel::Debug, format: LogFormat::Json },
        );
        assert_eq!(written_after(loud, quiet), "");
        let text = written_after(quiet, loud);
        assert_eq!(text.lines().count(), 3, "{text}");
        for line in text.lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
    }
}
