//! YAML text → a tree of `config` values, each with its line as origin.
//! Invariant: a scalar keeps the text that was written (`0123` stays `0123`, `9100.7` never becomes a port), depth is bounded,
//! and nothing in the text ends the reading early.
//!
//! The `config` crate's own YAML reader loses both, and its messages carry no lines, so only the parser below it is used.

use std::collections::{HashMap, HashSet};

use ::config::{Map, Value, ValueKind};
use yaml_rust2::parser::{Event, Parser};
use yaml_rust2::scanner::{Marker, ScanError, TScalarStyle};

use super::error::{Place, Problem};
use super::schema;

/// Levels of nesting; the settings need six.
const DEPTH_MAX: usize = 16;

/// A document as it was written.
#[derive(Debug)]
pub(super) struct Tree {
    /// A map, or nothing where the document is empty.
    pub(super) root: Value,
    /// Paths of the scalars that stand in quotes or in a block: text, whatever they look like.
    pub(super) quoted: HashSet<String>,
}

/// Reads one YAML document whose top level is a map; an empty one is an empty map.
///
/// # Errors
/// All duplicated keys together; else the first thing that stops the reading.
pub(super) fn parse(text: &str) -> Result<Tree, Vec<Problem>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some(problem) = unprintable(text) {
        return Err(vec![problem]);
    }
    let parser = Parser::new_from_str(text);
    let mut loader = Loader { parser, quoted: HashSet::new(), duplicates: Vec::new() };
    let root = loader.document().map_err(|problem| vec![problem])?;
    let Loader { quoted, duplicates, .. } = loader;
    if duplicates.is_empty() { Ok(Tree { root, quoted }) } else { Err(duplicates) }
}

/// The first character that YAML forbids. The scanner takes NUL for the end of the file, and with it whatever a crash has
/// left of one; and it does not know the line breaks that YAML had up to 1.1, so that what others read as the next line
/// would be part of a comment here.
fn unprintable(text: &str) -> Option<Problem> {
    let (mut line, mut column, mut characters) = (1, 1, text.chars().peekable());
    while let Some(c) = characters.next() {
        let message = match c {
            '\u{85}' | '\u{2028}' | '\u{2029}' => {
                "a line break that not every reader of YAML takes for one; begin the next line as usual"
            }
            '\t' | '\n' | '\r' | ' '..='~' | '\u{a0}'..='\u{fffd}' | '\u{10000}'.. => {
                let is_end = c == '\n' || (c == '\r' && characters.peek() != Some(&'\n'));
                (line, column) = if is_end { (line + 1, 1) } else { (line, column + 1) };
                continue;
            }
            _ => "no character of a text; the file may be damaged or cut off",
        };
        let message = format!("column {column}: U+{:04X} is {message}", u32::from(c));
        return Some(Problem::new(Place::Line(line), "", message));
    }
    None
}

/// The parser and what it found that does not stop it.
struct Loader<'a> {
    parser: Parser<std::str::Chars<'a>>,
    quoted: HashSet<String>,
    duplicates: Vec<Problem>,
}

impl Loader<'_> {
    fn next(&mut self) -> Result<(Event, Marker), Problem> {
        self.parser.next_token().map_err(|error| syntax_error(&error))
    }

    fn document(&mut self) -> Result<Value, Problem> {
        let mut root = Value::new(None, ValueKind::Nil);
        let mut seen = false;
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(root),
                (Event::DocumentStart, mark) if seen => {
                    return Err(problem(
                        mark,
                        "a second YAML document starts here; keep all settings in one",
                    ));
                }
                (Event::DocumentStart, _) => {
                    seen = true;
                    let (event, mark) = self.next()?;
                    root = self.node(event, mark, "", 0)?;
                    if !matches!(root.kind, ValueKind::Table(_) | ValueKind::Nil) {
                        return Err(problem(mark, "the top level must be a map of sections, such as `web:`"));
                    }
                }
                _ => {}
            }
        }
    }

    /// The node that starts with `event`; `path` names it in messages.
    fn node(&mut self, event: Event, mark: Marker, path: &str, depth: usize) -> Result<Value, Problem> {
        if depth > DEPTH_MAX {
            return Err(problem(mark, "nested too deeply"));
        }
        let kind = match event {
            Event::Scalar(text, style, 0, None) => {
                if style != TScalarStyle::Plain {
                    self.quoted.insert(path.to_owned());
                }
                scalar(text, style)
            }
            Event::SequenceStart(0, None) => ValueKind::Array(self.sequence(path, depth)?),
            Event::MappingStart(0, None) => ValueKind::Table(self.mapping(path, depth)?),
            Event::Alias(_)
            | Event::Scalar(_, _, 1.., _)
            | Event::SequenceStart(1.., _)
            | Event::MappingStart(1.., _) => {
                return Err(problem(
                    mark,
                    "anchors and aliases are not supported; put a value that starts with & or * in quotes",
                ));
            }
            _ => {
                return Err(problem(
                    mark,
                    "tags are not supported; put a value that starts with ! in quotes",
                ));
            }
        };
        Ok(Value::new(Some(&line(mark).to_string()), kind))
    }

    fn sequence(&mut self, path: &str, depth: usize) -> Result<Vec<Value>, Problem> {
        let mut items = Vec::new();
        loop {
            let (event, mark) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(items);
            }
            items.push(self.node(event, mark, &format!("{path}[{}]", items.len()), depth + 1)?);
        }
    }

    fn mapping(&mut self, path: &str, depth: usize) -> Result<Map<String, Value>, Problem> {
        let mut map = Map::new();
        let mut lines = HashMap::new();
        loop {
            let (event, mark) = self.next()?;
            let key = match event {
                Event::MappingEnd => return Ok(map),
                Event::Scalar(key, _, 0, None) => key,
                _ => return Err(problem(mark, "a key must be plain text")),
            };
            let child = schema::join(path, &key);
            let (event, value_mark) = self.next()?;
            let mut value = self.node(event, value_mark, &child, depth + 1)?;
            // The line of the key: a nested value starts a line later, and an empty one anywhere.
            value = Value::new(Some(&line(mark).to_string()), value.kind);
            if let Some(first) = lines.insert(key.clone(), mark.line()) {
                let message = format!("the key is already set in line {first}");
                self.duplicates.push(Problem::new(line(mark), schema::shown_path(path, &key), message));
            } else {
                map.insert(key, value);
            }
        }
    }
}

/// Text, or nothing for the plain forms of null in YAML 1.2.
fn scalar(text: String, style: TScalarStyle) -> ValueKind {
    let is_null = matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL");
    if style == TScalarStyle::Plain && is_null { ValueKind::Nil } else { ValueKind::String(text) }
}

fn line(mark: Marker) -> Place {
    Place::Line(mark.line())
}

fn problem(mark: Marker, message: &str) -> Problem {
    Problem::new(line(mark), "", format!("column {}: {message}", mark.col() + 1))
}

/// The scanner's messages are fixed texts: they quote at most one character of the file.
fn syntax_error(error: &ScanError) -> Problem {
    let hint = if error.info().contains("anchor") || error.info().starts_with("unexpected character") {
        "; put the value in quotes"
    } else {
        ""
    };
    problem(*error.marker(), &format!("not valid YAML: {}{hint}", error.info()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_at(text: &str, key: &str) -> Option<String> {
        let ValueKind::Table(map) = parse(text).unwrap().root.kind else { return None };
        match &map[key].kind {
            ValueKind::String(text) => Some(text.clone()),
            _ => None,
        }
    }

    #[test]
    fn scalars_keep_their_text_and_null_is_nothing() {
        for (yaml, text) in [
            ("k: 0123456", Some("0123456")),
            ("k: 9100.7", Some("9100.7")),
            ("k: true", Some("true")),
            ("k: 1_000", Some("1_000")),
            ("k: 'null'", Some("null")),
            ("k: ''", Some("")),
            ("k: null", None),
            ("k: ~", None),
            ("k:", None),
        ] {
            assert_eq!(text_at(yaml, "k").as_deref(), text, "{yaml}");
        }
    }

    #[test]
    fn an_empty_document_is_nothing() {
        for text in ["", "\u{feff}", "# only a comment\n", "---\n", "---\n...\n"] {
            assert_eq!(parse(text).unwrap().root.kind, ValueKind::Nil, "{text:?}");
        }
    }

    #[test]
    fn depth_is_bounded_in_both_styles() {
        let flow = format!("k: {}{}", "[".repeat(100_000), "]".repeat(100_000));
        let mut block = String::new();
        for depth in 0..200 {
            block += &format!("{}k:\n", " ".repeat(depth));
        }
        for text in [flow, block] {
            let problems = parse(&text).unwrap_err();
            assert_eq!(problems.len(), 1);
            // The scanner has a limit of its own for brackets, at 255.
            let reasons = ["nested too deeply", "recursion limit exceeded"];
            assert!(reasons.iter().any(|reason| problems[0].message.ends_with(reason)), "{problems:?}");
        }
    }

    #[test]
    fn what_yaml_forbids_is_told_with_its_place() {
        let forbidden = ('\0'..'\u{3000}').chain('\u{d7f0}'..='\u{10010}').filter(|c| {
            let problems = parse(&format!("a: 1\r\n\u{e9}: 2\r# x{c}# [")).err();
            let told = format!("line 3: column 4: U+{:04X} is ", u32::from(*c));
            let is_told = |problems: Vec<Problem>| problems[0].to_string().starts_with(&told);
            problems.is_some_and(|problems| is_told(problems) || panic!("{c:?}"))
        });
        let forbidden: Vec<u32> = forbidden.map(u32::from).collect();
        let controls = (0..0x20).filter(|c| ![0x9, 0xa, 0xd].contains(c)).chain(0x7f..0xa0);
        let expected: Vec<u32> = controls.chain([0x2028, 0x2029, 0xfffe, 0xffff]).collect();
        assert_eq!(forbidden, expected);
        // A name for it in quotes is no such character.
        assert_eq!(text_at("k: \"\\0\"", "k").as_deref(), Some("\0"));
    }

    #[test]
    fn what_stands_in_quotes_is_known() {
        let tree = parse("a: {b: 'x', c: x, d: [\"x\", x]}\ne: |\n  x\n").unwrap();
        let mut quoted: Vec<_> = tree.quoted.into_iter().collect();
        quoted.sort();
        assert_eq!(quoted, ["a.b", "a.d[0]", "e"]);
    }

    #[test]
    fn anchors_tags_and_map_keys_are_refused() {
        for text in
            ["k: &a 1", "k: &a [1]", "k: &a {b: 1}", "a: &a 1\nk: *a", "k: !!str 1", "? [1]\n: 2", "k: *.x"]
        {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
