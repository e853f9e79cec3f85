//! How the values of fields are read, whatever their form. Invariant: reading never fails; a value is absent, read or
//! malformed, and what is malformed is reported by name.

use std::borrow::Cow;

use jiff::civil::DateTime;
use jiff::tz::{self, TimeZone};
use serde_json::value::RawValue;

use super::number::{Scaled, scaled};
use super::{Malformed, Object, body};
use crate::clock::UnixMillis;
use crate::model::Usage;

/// What became of a value.
pub(super) enum Reading<T> {
    /// Null, an empty text, the text `null`; for a timestamp also 0.
    Absent,
    /// A value in range.
    Value(T),
    /// Of another type, or out of range.
    Malformed,
}

impl<T> Reading<T> {
    fn of(value: Option<T>) -> Self {
        value.map_or(Self::Malformed, Self::Value)
    }
}

/// How a kind of value is read.
pub(super) trait Reader {
    /// What a field holds.
    type Value;

    /// Reads a value that is there.
    fn read(json: Json<'_>, malformed: &mut Malformed) -> Reading<Self::Value>;
}

/// Reads the value of the field `name`, given as JSON text.
pub(super) fn read<R: Reader>(json: &str, name: &'static str, malformed: &mut Malformed) -> Option<R::Value> {
    let reading = match Json::of(json) {
        Some(Json::Null) => Reading::Absent,
        Some(json) => R::read(json, malformed),
        None => Reading::Malformed,
    };
    match reading {
        Reading::Absent => None,
        Reading::Value(value) => Some(value),
        Reading::Malformed => {
            malformed.push(name);
            None
        }
    }
}

/// A JSON value, looked at from outside.
pub(super) enum Json<'a> {
    /// `null`, or a text that is blank or says `null`.
    Null,
    Bool(bool),
    /// The digits as they stand.
    Number(&'a str),
    /// Without blanks around it.
    Text(Cow<'a, str>),
    /// The JSON text of the object.
    Object(&'a str),
    /// The JSON text of the list.
    Array(&'a str),
}

impl<'a> Json<'a> {
    /// `None` for a text that no string can hold, such as half a surrogate pair.
    fn of(json: &'a str) -> Option<Self> {
        let value = match json.as_bytes().first()? {
            b'"' => match trimmed(text_of(json)?) {
                text if text.is_empty() || text == "null" => Self::Null,
                text => Self::Text(text),
            },
            b'n' => Self::Null,
            b't' => Self::Bool(true),
            b'f' => Self::Bool(false),
            b'{' => Self::Object(json),
            b'[' => Self::Array(json),
            _ => Self::Number(json),
        };
        Some(value)
    }

    /// A number, also as a text.
    fn number(&self, decimals: u32) -> Option<Scaled> {
        match self {
            Self::Number(digits) => scaled(digits, decimals),
            Self::Text(digits) => scaled(digits, decimals),
            Self::Null | Self::Bool(_) | Self::Object(_) | Self::Array(_) => None,
        }
    }

    /// A number without a fraction: `343`, `343.0`, `"343"`.
    fn integer(&self) -> Option<i64> {
        self.number(0).filter(|n| n.exact).map(|n| n.value)
    }
}

/// The text of a JSON string: borrowed where nothing in it is escaped.
fn text_of(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        return serde_json::from_str(json).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
}

/// Without blanks around it: ids with a newline at their end have been seen.
fn trimmed(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) if text.trim().len() == text.len() => Cow::Owned(text),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    }
}

/// A text; a number or a boolean is taken as it is spelt.
pub(super) enum Text {}

impl Reader for Text {
    type Value = String;

    fn read(json: Json<'_>, _: &mut Malformed) -> Reading<String> {
        match json {
            Json::Text(text) => Reading::Value(text.into_owned()),
            Json::Number(digits) => Reading::Value(digits.to_owned()),
            Json::Bool(flag) => Reading::Value(flag.to_string()),
            Json::Null => Reading::Absent,
            Json::Object(_) | Json::Array(_) => Reading::Malformed,
        }
    }
}

/// A page token: sent back to the service as it came, to the last blank.
pub(super) fn token(json: &str, name: &'static str, malformed: &mut Malformed) -> Option<String> {
    let read = read::<Text>(json, name, malformed)?;
    Some(if json.starts_with('"') { text_of(json)?.into_owned() } else { read })
}

/// A boolean, also as a text or as 0 and 1.
pub(super) enum Flag {}

impl Reader for Flag {
    type Value = bool;

    fn read(json: Json<'_>, _: &mut Malformed) -> Reading<bool> {
        Reading::of(match &json {
            Json::Bool(flag) => Some(*flag),
            Json::Text(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Json::Text(text) if text.eq_ignore_ascii_case("false") => Some(false),
            json => match json.integer() {
                Some(0) => Some(false),
                Some(1) => Some(true),
                _ => None,
            },
        })
    }
}

/// A whole number from 0.
pub(super) enum Count {}

impl Reader for Count {
    type Value = u64;

    fn read(json: Json<'_>, _: &mut Malformed) -> Reading<u64> {
        Reading::of(json.integer().and_then(|n| u64::try_from(n).ok()))
    }
}

/// A usage figure: a whole number from 0 to [`Usage::FIGURE_MAX`].
pub(super) enum Figure {}

impl Reader for Figure {
    type Value = i64;

    fn read(json: Json<'_>, _: &mut Malformed) -> Reading<i64> {
        Reading::of(json.integer().filter(|n| (0..=Usage::FIGURE_MAX).contains(n)))
    }
}

/// CU-hours from 0 to [`Usage::CU_HOURS_MAX`], in 10⁻⁹ CU-hours.
pub(super) enum NanoCuHours {}

impl NanoCuHours {
    #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53")]
    const MAX: i64 = Usage::CU_HOURS_MAX as i64 * 1_000_000_000;
}

impl Reader for NanoCuHours {
    type Value = i64;

    fn read(json: Json<'_>, _: &mut Malformed) -> Reading<i64> {
        Reading::of(json.number(9).map(|n| n.value).filter(|n| (0..=Self::MAX).contains(n)))
    }
}

/// A point in time: milliseconds since the epoch, where 0 means none, or a date as text.
pub(super) enum Timestamp {}

/// The end of the year 9999.
const TIMESTAMP_MAX: UnixMillis = 253_402_300_799_999;

impl Reader for Timestamp {
    type Value = UnixMillis;

    fn read(json: Json<'_>, _: &mut Malformed) -> Reading<UnixMillis> {
        match (json.integer(), &json) {
            (Some(0), _) => Reading::Absent,
            (Some(millis), _) => Reading::of(Some(millis).filter(|m| (1..=TIMESTAMP_MAX).contains(m))),
            (None, Json::Text(text)) => Reading::of(date(text).filter(|m| (1..=TIMESTAMP_MAX).contains(m))),
            (None, _) => Reading::Malformed,
        }
    }
}

/// A date with an offset (`2024-09-01T06:23:01Z`) means what it says. One without (`2024-09-01 06:23:01`, seen in the
/// service's pages) is assumed to be in UTC+8, the zone of the service's console and bills: no page states it.
fn date(text: &str) -> Option<UnixMillis> {
    if let Ok(timestamp) = text.parse::<jiff::Timestamp>() {
        return Some(timestamp.as_millisecond());
    }
    let zoned = text.parse::<DateTime>().ok()?.to_zoned(TimeZone::fixed(tz::offset(8))).ok()?;
    Some(zoned.timestamp().as_millisecond())
}

/// An object within a row.
pub(super) struct Nested<T>(std::marker::PhantomData<T>);

impl<T: Object> Reader for Nested<T> {
    type Value = T;

    fn read(json: Json<'_>, malformed: &mut Malformed) -> Reading<T> {
        match json {
            Json::Object(json) => Reading::of(body::object(json, malformed)),
            Json::Null => Reading::Absent,
            Json::Bool(_) | Json::Number(_) | Json::Text(_) | Json::Array(_) => Reading::Malformed,
        }
    }
}

/// A list of objects within a row. One of its items that is malformed spoils the whole: what is left would say
/// something else.
pub(super) struct List<T>(std::marker::PhantomData<T>);

impl<T: Object> Reader for List<T> {
    type Value = Vec<T>;

    fn read(json: Json<'_>, malformed: &mut Malformed) -> Reading<Vec<T>> {
        let items = match json {
            Json::Array(json) => serde_json::from_str::<Vec<&RawValue>>(json).ok(),
            _ => None,
        };
        let read = |item: &RawValue| body::object(item.get(), malformed);
        Reading::of(items.and_then(|items| items.into_iter().map(read).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Err` where the value is malformed.
    type Expected<T> = Result<Option<T>, ()>;

    /// Each value's JSON text and what it is read as.
    fn check<R: Reader>(table: &[(&str, Expected<R::Value>)])
    where
        R::Value: Clone + std::fmt::Debug + PartialEq,
    {
        for (json, expected) in table {
            let mut malformed = Vec::new();
            let value = read::<R>(json, "field", &mut malformed);
            let got = if malformed.is_empty() { Ok(value) } else { Err(()) };
            assert_eq!(&got, expected, "{json}");
        }
    }

    #[test]
    fn texts() {
        let text = |text: &str| Ok(Some(text.to_owned()));
        check::<Text>(&[
            ("null", Ok(None)),
            (r#""""#, Ok(None)),
            (r#"" \n""#, Ok(None)),
            (r#""null""#, Ok(None)),
            (r#""TSK-1\n""#, text("TSK-1")),
            (r#"" a \" b ""#, text("a \" b")),
            (r#""数\u636e""#, text("数据")),
            ("200", text("200")),
            ("true", text("true")),
            (r#""\ud800""#, Err(())),
            ("{}", Err(())),
            ("[]", Err(())),
        ]);
    }

    #[test]
    fn flags() {
        let (yes, no) = (Ok(Some(true)), Ok(Some(false)));
        check::<Flag>(&[
            ("true", yes),
            ("false", no),
            (r#""True""#, yes),
            (r#""false""#, no),
            ("1", yes),
            ("0.0", no),
            ("null", Ok(None)),
            ("2", Err(())),
            (r#""yes""#, Err(())),
        ]);
    }

    #[test]
    fn figures() {
        check::<Figure>(&[
            ("343", Ok(Some(343))),
            ("343.0", Ok(Some(343))),
            (r#"" 343 ""#, Ok(Some(343))),
            (r#""343.00""#, Ok(Some(343))),
            ("9007199254740991", Ok(Some(Usage::FIGURE_MAX))),
            ("0", Ok(Some(0))),
            ("null", Ok(None)),
            ("9007199254740992", Err(())),
            ("343.5", Err(())),
            ("-1", Err(())),
            ("1e999", Err(())),
            ("true", Err(())),
            (r#""12a""#, Err(())),
        ]);
        check::<Count>(&[("10", Ok(Some(10))), (r#""10""#, Ok(Some(10))), ("-1", Err(())), ("[]", Err(()))]);
    }

    #[test]
    fn cu_hours() {
        check::<NanoCuHours>(&[
            ("322.5", Ok(Some(322_500_000_000))),
            (r#""322.5""#, Ok(Some(322_500_000_000))),
            ("0", Ok(Some(0))),
            ("-0.0", Ok(Some(0))),
            ("0.30000000000000004", Ok(Some(300_000_000))),
            ("99999999.999999999", Ok(Some(99_999_999_999_999_999))),
            ("1e8", Ok(Some(100_000_000_000_000_000))),
            ("null", Ok(None)),
            (r#""null""#, Ok(None)),
            ("100000000.000000001", Err(())),
            ("-0.000000001", Err(())),
            (r#""NaN""#, Err(())),
            ("1e400", Err(())),
        ]);
    }

    #[test]
    fn timestamps() {
        let at = |millis| Ok(Some(millis));
        check::<Timestamp>(&[
            ("1768213240000", at(1_768_213_240_000)),
            ("1768213240000.0", at(1_768_213_240_000)),
            (r#""1768213240000""#, at(1_768_213_240_000)),
            // 2024-08-31 22:23:01 UTC.
            (r#""2024-09-01 06:23:01""#, at(1_725_142_981_000)),
            (r#""2024-09-01T06:23:01""#, at(1_725_142_981_000)),
            (r#""2024-09-01T06:23:01Z""#, at(1_725_171_781_000)),
            (r#""2024-09-01T06:23:01+08:00""#, at(1_725_142_981_000)),
            ("0", Ok(None)),
            (r#""0""#, Ok(None)),
            (r#""""#, Ok(None)),
            ("null", Ok(None)),
            ("-5", Err(())),
            ("253402300800000", Err(())),
            (r#""yesterday""#, Err(())),
            (r#""0000-00-00 00:00:00""#, Err(())),
        ]);
    }

    #[test]
    fn a_token_keeps_its_blanks() {
        let mut malformed = Vec::new();
        let mut token = |json| token(json, "nextToken", &mut malformed);
        assert_eq!(token(r#"" a\n""#).as_deref(), Some(" a\n"));
        assert_eq!(token("20").as_deref(), Some("20"));
        assert_eq!((token("null"), token(r#""""#), token(r#""null""#)), (None, None, None));
        assert_eq!(token("[]"), None);
        assert_eq!(malformed, ["nextToken"]);
    }
}
