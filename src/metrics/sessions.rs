//! The sessions of a gateway, as pages show them. Invariant: what all pages until the next sweep have in common is written once.

use super::labels::{escape, specials};
use super::lines::seconds;
use crate::model::{GatewayId, SessionCounts, SessionObservation, Usage};

/// The labels of a Livy session's info metric.
pub(super) const SESSION_INFO: &[&str] =
    &["workspace_id", "livy_compute_id", "session_id", "name", "queue", "state"];
/// Those of them that name it, which all of its metrics have.
pub(super) const SESSION: &[&str] = SESSION_INFO.split_at(3).0;

/// Of how many sessions a gateway's view tells all.
pub const LARGEST_MAX: usize = 10;

/// The sessions of a gateway as a complete sweep saw them.
#[derive(Debug)]
pub struct SessionsView {
    /// Listed sessions by queue and state.
    pub counts: SessionCounts,
    /// The first of those that have series of their own, at most [`LARGEST_MAX`].
    pub largest: Vec<SessionObservation>,
    labels: SessionLabels,
    figures: Vec<Figures>,
}

impl SessionsView {
    /// Of these sessions of the gateway; the active ones that get series of their own come with the largest first.
    pub fn new(gateway: &GatewayId, counts: SessionCounts, active: &[&SessionObservation]) -> Self {
        let largest = active.iter().take(LARGEST_MAX).map(|session| (*session).clone()).collect();
        let figures = active.iter().map(|session| Figures::of(session)).collect();
        Self { counts, largest, labels: SessionLabels::new(gateway, active), figures }
    }

    /// Of each session with series of its own, what its info metric carries.
    pub(super) fn info_labels(&self) -> impl Iterator<Item = &[u8]> {
        self.labels.ranges().map(|(start, _, end)| &self.labels.text[start..end])
    }

    /// Of each of them, its figures and what their metrics carry.
    pub(super) fn figures(&self) -> impl Iterator<Item = (&Figures, &[u8])> {
        let labels = self.labels.ranges().map(|(start, named, _)| &self.labels.text[start..named]);
        self.figures.iter().zip(labels)
    }
}

/// What a session's metrics show, in their units; what is not known has no sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figures {
    pub(super) cu_seconds: Option<f64>,
    pub(super) vcore_seconds: Option<f64>,
    pub(super) memory_byte_seconds: Option<f64>,
    pub(super) created: Option<f64>,
}

impl Figures {
    fn of(session: &SessionObservation) -> Self {
        let reported = session.usage;
        let usage = reported.or(Usage::ZERO);
        Self {
            cu_seconds: reported.nano_cu_hours.map(|_| usage.cu_seconds()),
            vcore_seconds: reported.vcore_seconds.map(|_| usage.vcore_seconds()),
            memory_byte_seconds: reported.mb_seconds.map(|_| usage.memory_byte_seconds()),
            created: session.created.map(seconds),
        }
    }
}

/// The labels of sessions, one after the other in one piece of memory.
#[derive(Debug)]
struct SessionLabels {
    /// Those of [`SESSION_INFO`].
    text: Vec<u8>,
    /// Of each session, where those of [`SESSION`] end, and where all of them do.
    ends: Vec<(usize, usize)>,
}

impl SessionLabels {
    fn new(gateway: &GatewayId, sessions: &[&SessionObservation]) -> Self {
        let labels = Self::written(gateway, sessions, |text, value| text.extend_from_slice(value.as_bytes()));
        // Hardly any value has something to escape, and all of the text is looked through faster than one value after the
        // other: there is nothing where the quotes around them are all.
        let quotes = 2 * SESSION_INFO.len() * sessions.len();
        if specials(&labels.text) == quotes {
            return labels;
        }
        Self::written(gateway, sessions, |text, value| escape(text, value, true))
    }

    fn written(
        gateway: &GatewayId,
        sessions: &[&SessionObservation],
        write: impl Fn(&mut Vec<u8>, &str),
    ) -> Self {
        // What comes before each value, and is the same for all sessions, is put together once.
        let [workspace, compute, id, name, queue, state] =
            [0, 1, 2, 3, 4, 5].map(|label| format!(",{}=\"", SESSION_INFO[label]));
        let mut before_id = Vec::new();
        for (before, value) in
            [(&workspace[1..], &gateway.workspace.workspace_id), (&compute, &gateway.livy_compute_id)]
        {
            before_id.extend_from_slice(before.as_bytes());
            write(&mut before_id, value);
            before_id.push(b'"');
        }
        before_id.extend_from_slice(id.as_bytes());
        let [before_queue, before_state] = [queue, state].map(|syntax| format!("\"{syntax}"));
        let syntax = before_id.len() + name.len() + before_queue.len() + before_state.len() + 2;
        let room = |session: &&SessionObservation| {
            let values = [&session.session_id, &session.name, &session.queue].map(String::len);
            syntax + values.iter().sum::<usize>() + session.state.as_str().len()
        };
        // As much as they take where nothing is escaped.
        let mut text = Vec::with_capacity(sessions.iter().map(room).sum());
        let mut ends = Vec::with_capacity(sessions.len());
        for session in sessions {
            text.extend_from_slice(&before_id);
            write(&mut text, &session.session_id);
            text.push(b'"');
            let named = text.len();
            text.extend_from_slice(name.as_bytes());
            write(&mut text, &session.name);
            text.extend_from_slice(before_queue.as_bytes());
            write(&mut text, &session.queue);
            text.extend_from_slice(before_state.as_bytes());
            text.extend_from_slice(session.state.as_str().as_bytes());
            text.push(b'"');
            ends.push((named, text.len()));
        }
        Self { text, ends }
    }

    /// Of each session, where its labels start, where those that name it end, and where all do.
    fn ranges(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let mut start = 0;
        self.ends.iter().map(move |(named, end)| (std::mem::replace(&mut start, *end), *named, *end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::{gateway, session};

    #[test]
    fn what_names_a_session_comes_first_and_all_is_escaped() {
        let sessions = [session("s1", "q", 1), session("s\"2", "q\\\n", 2)];
        let view = SessionsView::new(&gateway(), SessionCounts::default(), &sessions.each_ref());
        let text = |labels: &[u8]| String::from_utf8(labels.to_vec()).unwrap();
        let place = "workspace_id=\"w-1\",livy_compute_id=\"lc-1\"";
        let first = format!("{place},session_id=\"s1\"");
        let second = format!("{place},session_id=\"s\\\"2\"");
        let info = [
            format!("{first},name=\"etl\",queue=\"q\",state=\"running\""),
            format!("{second},name=\"etl\",queue=\"q\\\\\\n\",state=\"running\""),
        ];
        assert_eq!(view.info_labels().map(text).collect::<Vec<_>>(), info);
        let figures: Vec<_> = view.figures().map(|(row, labels)| (row.cu_seconds, text(labels))).collect();
        let cu_seconds = |nano_cu_hours| Some(f64::from(nano_cu_hours) * 3.6e-6);
        assert_eq!(figures, [(cu_seconds(1), first), (cu_seconds(2), second)]);
    }

    #[test]
    fn of_the_largest_all_is_told() {
        let sessions: Vec<_> =
            (0..12).map(|number| session(&format!("s{number}"), "q", 100 - number)).collect();
        let active: Vec<_> = sessions.iter().collect();
        let view = SessionsView::new(&gateway(), SessionCounts::default(), &active);
        assert_eq!(view.largest, sessions[..LARGEST_MAX]);
        assert_eq!(view.figures().count(), 12);
    }
}
