//! What was odd about rows.

/// The longest label value, in characters.
const LABEL_CHARS_MAX: usize = 256;

/// What was odd about the rows of an answer, to be counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Names of fields whose value is not known, and of rows that could not be used.
    pub malformed: Vec<&'static str>,
    /// Texts that were cut to the length of a label.
    pub cut_labels: u64,
}

impl Notes {
    /// A text for a label: without control characters, and cut where it is too long; empty where there is none.
    pub(super) fn label(&mut self, text: Option<String>) -> String {
        let Some(text) = text else { return String::new() };
        if is_plain(&text) {
            return text;
        }
        let text = text.trim();
        if text.chars().count() <= LABEL_CHARS_MAX && !text.contains(char::is_control) {
            return text.to_owned();
        }
        self.cut_labels += u64::from(text.chars().count() > LABEL_CHARS_MAX);
        text.chars().filter(|c| !c.is_control()).take(LABEL_CHARS_MAX).collect()
    }

    /// An id, which is never changed: `None`, and the row noted, where it cannot be a label as it is.
    pub(super) fn id(&mut self, row: &'static str, id: Option<String>) -> Option<String> {
        let fits = |id: &String| {
            is_plain(id)
                || !id.is_empty() && id.chars().count() <= LABEL_CHARS_MAX && !id.contains(char::is_control)
        };
        let id = id.filter(fits);
        if id.is_none() {
            self.malformed.push(row);
        }
        id
    }

    /// A value of a closed set; `unknown`, and the field noted, where the text is none of it.
    pub(super) fn known<T>(
        &mut self,
        field: &'static str,
        text: Option<&str>,
        from_api: fn(&str) -> Option<T>,
        unknown: T,
    ) -> T {
        let Some(text) = text else { return unknown };
        from_api(text).unwrap_or_else(|| {
            self.malformed.push(field);
            unknown
        })
    }
}

/// Nearly every text: short printable ASCII, without a space at either end, which any label takes as it is.
fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let inner = |byte: &u8| matches!(byte, b' '..=b'~');
    (1..=LABEL_CHARS_MAX).contains(&bytes.len())
        && bytes[0] != b' '
        && bytes[bytes.len() - 1] != b' '
        && bytes.iter().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SessionState;

    #[test]
    fn labels_are_clean_and_bounded() {
        let mut notes = Notes::default();
        assert_eq!(notes.label(Some(" TSK-1\n".into())), "TSK-1");
        assert_eq!(notes.label(None), "");
        assert_eq!(notes.label(Some("a\u{0}b".into())), "ab");
        assert_eq!(notes.cut_labels, 0);
        assert_eq!(notes.label(Some("ü".repeat(300))), "ü".repeat(256));
        assert_eq!(notes.cut_labels, 1);
    }

    #[test]
    fn an_id_is_taken_whole_or_not_at_all() {
        let mut notes = Notes::default();
        assert_eq!(notes.id("sessions[]", Some("livy-1".into())).as_deref(), Some("livy-1"));
        for bad in [None, Some(String::new()), Some("x".repeat(257)), Some("a\nb".into())] {
            assert_eq!(notes.id("sessions[]", bad), None);
        }
        assert_eq!(notes.malformed, ["sessions[]"; 4]);
    }

    #[test]
    fn an_unknown_value_is_noted_and_a_missing_one_is_not() {
        let mut notes = Notes::default();
        let mut state = |text| notes.known("state", text, SessionState::from_api, SessionState::Unknown);
        assert_eq!(state(Some("RUNNING")), SessionState::Running);
        assert_eq!(state(None), SessionState::Unknown);
        assert_eq!(state(Some("hibernating")), SessionState::Unknown);
        assert_eq!(notes.malformed, ["state"]);
    }
}
