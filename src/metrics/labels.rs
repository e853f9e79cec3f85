//! Labels as a page writes them, escaped once for all the samples that carry them.

use super::lines::Out;
use crate::model::{GatewayId, SessionObservation};

/// The labels of a Livy session's info metric.
pub(super) const SESSION_INFO: &[&str] =
    &["workspace_id", "livy_compute_id", "session_id", "name", "queue", "state"];
/// Those of them that name it, which all of its metrics have.
pub(super) const SESSION: &[&str] = SESSION_INFO.split_at(3).0;

/// The labels of many series, one after the other in one piece of memory.
#[derive(Debug, Default)]
pub(super) struct LabelTable {
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl LabelTable {
    /// Adds the labels of a series, of which `common` are already written, and `values` are those of the others.
    pub(super) fn push(&mut self, common: &[u8], names: &[&str], values: &[&str]) {
        write_set(&mut self.text, common, names, values);
        self.ends.push(self.text.len());
    }

    /// All of them, in the order in which they were added.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let labels = &self.text[start..*end];
            start = *end;
            labels
        })
    }
}

/// The labels of a gateway's sessions, one after the other in one piece of memory.
#[derive(Debug)]
pub(super) struct SessionLabels {
    /// Those of [`SESSION_INFO`].
    text: Vec<u8>,
    /// Of each session, where those of [`SESSION`] end, and where all of them do.
    ends: Vec<(usize, usize)>,
}

impl SessionLabels {
    /// Writes those of all of them.
    pub(super) fn new(gateway: &GatewayId, sessions: &[SessionObservation]) -> Self {
        let mut common = Vec::new();
        write_pairs(&mut common, SESSION, &[&gateway.workspace.workspace_id, &gateway.livy_compute_id]);
        // As much as they take where nothing is escaped.
        let syntax: usize = SESSION_INFO[2..].iter().map(|name| name.len() + ",=\"\"".len()).sum();
        let values = |session: &SessionObservation| {
            session.session_id.len() + session.name.len() + session.queue.len() + session.state.as_str().len()
        };
        let room = sessions.len() * (common.len() + syntax) + sessions.iter().map(values).sum::<usize>();
        let (mut text, mut ends) = (Vec::with_capacity(room), Vec::with_capacity(sessions.len()));
        for session in sessions {
            write_set(&mut text, &common, SESSION, &[&session.session_id]);
            let named = text.len();
            text.push(b',');
            let attributes = [&*session.name, &session.queue, session.state.as_str()];
            write_pairs(&mut text, &SESSION_INFO[SESSION.len()..], &attributes);
            ends.push((named, text.len()));
        }
        Self { text, ends }
    }

    /// In order, what each session's info metric carries.
    pub(super) fn of_info(&self) -> impl Iterator<Item = &[u8]> {
        self.ranges().map(|(start, _, end)| &self.text[start..end])
    }

    /// In order, what the metrics of each session's figures carry.
    pub(super) fn of_figures(&self) -> impl Iterator<Item = &[u8]> {
        self.ranges().map(|(start, named, _)| &self.text[start..named])
    }

    fn ranges(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let mut start = 0;
        self.ends.iter().map(move |(named, end)| (std::mem::replace(&mut start, *end), *named, *end))
    }
}

/// Writes a set of labels, of which `common` are already written, and `more` are the values of the last `names`.
pub(super) fn write_set(out: &mut impl Out, common: &[u8], names: &[&str], more: &[&str]) {
    out.extend_from_slice(common);
    if !common.is_empty() && !more.is_empty() {
        out.push(b',');
    }
    write_pairs(out, &names[names.len() - more.len()..], more);
}

/// Writes `name="value",name="value"`.
pub(super) fn write_pairs(out: &mut impl Out, names: &[&str], values: &[&str]) {
    for (index, (name, value)) in names.iter().zip(values).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"=\"");
        escape(out, value, true);
        out.push(b'"');
    }
}

/// Writes a text with what the formats escape escaped: quotes in label values, and in OpenMetrics everywhere.
pub(super) fn escape(out: &mut impl Out, text: &str, quotes: bool) {
    let is_special = |byte: u8| byte == b'\\' || byte == b'\n' || (byte == b'"' && quotes);
    let mut rest = text.as_bytes();
    // Hardly any has one. To look at all bytes, whatever the first ones are, is done for many at a time.
    if !rest.iter().fold(false, |found, byte| found | is_special(*byte)) {
        out.extend_from_slice(rest);
        return;
    }
    while let Some(at) = rest.iter().position(|byte| is_special(*byte)) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(match rest[at] {
            b'\n' => b"\\n",
            b'"' => b"\\\"",
            _ => b"\\\\",
        });
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::{gateway, session};

    #[test]
    fn what_names_a_session_comes_first_and_all_is_escaped() {
        let hostile = session("s\"2", "q\\", 2);
        let labels = SessionLabels::new(&gateway(), &[session("s1", "q", 1), hostile]);
        let written = |labels: Vec<&[u8]>| -> Vec<String> {
            labels.into_iter().map(|labels| String::from_utf8(labels.to_vec()).unwrap()).collect()
        };
        let place = "workspace_id=\"w-1\",livy_compute_id=\"lc-1\"";
        let first = format!("{place},session_id=\"s1\"");
        let second = format!("{place},session_id=\"s\\\"2\"");
        let info = [
            format!("{first},name=\"etl\",queue=\"q\",state=\"running\""),
            format!("{second},name=\"etl\",queue=\"q\\\\\",state=\"running\""),
        ];
        assert_eq!(written(labels.of_info().collect()), info);
        assert_eq!(written(labels.of_figures().collect()), [first, second]);
    }
}
