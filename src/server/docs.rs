//! The documentation of this very version, for people who look at its status page: what it explains is one click away,
//! also where there is no way out of the network. Invariant: the pages come from `docs/` alone and link to each other.

mod runbooks;

use std::collections::HashSet;
use std::fmt::Write;
use std::sync::{LazyLock, OnceLock};

use bytes::Bytes;
use hyper::Response;
use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

use runbooks::RUNBOOKS;

use super::status::{Escaped, written};
use super::{Chunks, document};
use crate::model::FailureReason;

/// The list of pages.
pub(super) const INDEX: &str = "/-/docs/";
/// The page about failures.
pub(super) const TROUBLESHOOTING: &str = "/-/docs/troubleshooting";

/// A page: name, title, text.
type Page = (&'static str, &'static str, &'static str);

/// The pages, in the order of the list.
const PAGES: [Page; 11] = [
    ("troubleshooting", "Troubleshooting", include_str!("../../docs/troubleshooting.md")),
    ("metrics", "Metrics", include_str!("../../docs/metrics.md")),
    ("monitoring", "Dashboards, alerts and cost", include_str!("../../docs/monitoring.md")),
    ("reload", "Reading the settings again", include_str!("../../docs/reload.md")),
    ("web", "The web server", include_str!("../../docs/web.md")),
    ("authentication", "Authentication", include_str!("../../docs/authentication.md")),
    ("api", "HTTP API", include_str!("../../docs/api.md")),
    ("ledger", "The ledger", include_str!("../../docs/ledger.md")),
    ("requests", "Requests", include_str!("../../docs/requests.md")),
    ("deployment", "Deployment", include_str!("../../docs/deployment.md")),
    ("performance", "Performance", include_str!("../../docs/performance.md")),
];

/// Where a reason is explained.
pub(super) fn about(reason: FailureReason) -> String {
    format!("{TROUBLESHOOTING}#{reason}")
}

/// A page, or a list of pages; made when it is first asked for, and kept.
#[derive(Debug)]
pub(super) struct Document {
    source: Source,
    html: OnceLock<Bytes>,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    Index,
    Runbooks,
    Page(&'static Page),
}

static DOCUMENTS: LazyLock<Vec<Document>> = LazyLock::new(|| {
    let sources = [Source::Index, Source::Runbooks].into_iter().chain(pages().map(Source::Page));
    sources.map(|source| Document { source, html: OnceLock::new() }).collect()
});

/// The document of this path, if it is one. A name may end as its file does, so that links to the files of a repository and
/// to these pages differ in their beginning only.
pub(super) fn find(path: &str) -> Option<&'static Document> {
    let name = path.strip_prefix(INDEX)?;
    DOCUMENTS.iter().find(|document| match document.source {
        Source::Index => name.is_empty(),
        Source::Runbooks => matches!(name, "runbooks" | "runbooks/"),
        Source::Page((page, ..)) => *page == name.strip_suffix(".md").unwrap_or(name),
    })
}

impl Document {
    pub(super) fn answer(&self) -> Response<Chunks> {
        document::ready(self.html())
    }

    fn html(&self) -> Bytes {
        self.html.get_or_init(|| self.source.render().into()).clone()
    }
}

impl Source {
    fn render(self) -> String {
        let (_, title, markdown) = match self {
            Self::Index => {
                return list("Documentation", &[("", &PAGES), ("Runbooks of the alerts", RUNBOOKS)]);
            }
            Self::Runbooks => return list("Runbooks", &[("", RUNBOOKS)]),
            Self::Page(page) => page,
        };
        let body = written(|f| {
            f.write_str("<a class=\"skip\" href=\"#main\">Skip to the content</a><header>")?;
            write!(
                f,
                "<nav aria-label=\"Pages\"><ul><li><a href=\"/\">Status</a></li><li><a href=\"{INDEX}\">"
            )?;
            f.write_str("Documentation</a></li></ul></nav></header><main id=\"main\" class=\"doc\">")?;
            write!(f, "{}</main>", as_html(markdown))
        });
        document::html(title, body)
    }
}

/// All pages.
fn pages() -> impl Iterator<Item = &'static Page> {
    PAGES.iter().chain(RUNBOOKS)
}

/// Lists of pages, each below its heading, if it has one.
fn list(title: &str, lists: &[(&str, &[Page])]) -> String {
    let body = written(|f| {
        write!(f, "<header><h1>{title}</h1><nav aria-label=\"Pages\"><ul><li><a href=\"/\">Status</a></li>")?;
        f.write_str("</ul></nav></header><main id=\"main\" class=\"doc\">")?;
        for (heading, pages) in lists {
            if !heading.is_empty() {
                write!(f, "<h2>{heading}</h2>")?;
            }
            f.write_str("<ul>")?;
            for (name, title, _) in *pages {
                write!(f, "<li><a href=\"{INDEX}{name}\">{title}</a></li>")?;
            }
            f.write_str("</ul>")?;
        }
        f.write_str("</main>")
    });
    document::html(title, body)
}

/// Markdown as HTML: headings can be linked to, and so can the rows of a table by a code in their first cell.
fn as_html(markdown: &str) -> String {
    let events: Vec<Event<'_>> = Parser::new_ext(markdown, Options::ENABLE_TABLES).collect();
    let mut out = Vec::with_capacity(events.len() * 2);
    let mut is_first_cell = false;
    let mut named = HashSet::from(["main"]);
    let mut tables = 0;
    let mut is_link_kept = Vec::new();
    for (at, event) in events.iter().enumerate() {
        match event {
            Event::Start(Tag::Heading { level, .. }) => out.push(heading(*level, &events[at..])),
            Event::Start(Tag::Table(_)) => {
                // By name: a column's alignment would become a style of its own, which the policy forbids.
                tables += 1;
                let region = format!(
                    "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Table {tables}\">"
                );
                out.extend([Event::Html(region.into()), Event::Start(Tag::Table(Vec::new()))]);
            }
            Event::End(TagEnd::Table) => out.extend([event.clone(), Event::Html("</div>".into())]),
            Event::Start(Tag::CodeBlock(_)) => {
                out.push(Event::Html("<pre tabindex=\"0\"><code>".into()));
            }
            Event::End(TagEnd::CodeBlock) => out.push(Event::Html("</code></pre>\n".into())),
            Event::Start(Tag::TableRow) => {
                is_first_cell = true;
                out.push(event.clone());
            }
            Event::End(TagEnd::TableCell) => {
                is_first_cell = false;
                out.push(event.clone());
            }
            Event::Code(code) if is_first_cell => {
                is_first_cell = false;
                let (is_first, code) = (named.insert(&**code), Escaped(code));
                // Of several rows that begin with the same word, the first one is what a link finds.
                let id = if is_first { format!(" id=\"{code}\"") } else { String::new() };
                out.push(Event::InlineHtml(format!("<code{id}>{code}</code>").into()));
            }
            Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
                let found = address(dest_url);
                is_link_kept.push(found.is_some());
                if let Some(dest_url) = found {
                    let (link_type, title, id) = (*link_type, title.clone(), id.clone());
                    out.push(Event::Start(Tag::Link { link_type, dest_url, title, id }));
                }
            }
            Event::End(TagEnd::Link) => {
                if is_link_kept.pop() == Some(true) {
                    out.push(event.clone());
                }
            }
            // Marks for those who write the pages.
            Event::Html(_) | Event::InlineHtml(_) => {}
            other => out.push(other.clone()),
        }
    }
    let mut text = String::new();
    html::push_html(&mut text, out.into_iter());
    text
}

/// The start of a heading with a name made of its words.
fn heading<'a>(level: HeadingLevel, events: &[Event<'a>]) -> Event<'a> {
    let words = events.iter().take_while(|event| !matches!(event, Event::End(TagEnd::Heading(_))));
    let mut name = String::new();
    for event in words {
        if let Event::Text(text) | Event::Code(text) = event {
            let kept = text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.for_each(|c| name.extend(if c == ' ' { '-' } else { c }.to_lowercase()));
        }
    }
    let mut html = String::new();
    // Writing to a String cannot fail.
    let _ = write!(html, "section-{}", Escaped(name));
    let (id, classes, attrs) = (Some(CowStr::from(html)), Vec::new(), Vec::new());
    Event::Start(Tag::Heading { level, id, classes, attrs })
}

/// Where a link of a page leads here; `None` where it leads to a file that is not served.
fn address(link: &str) -> Option<CowStr<'static>> {
    if link.starts_with("https://") {
        return Some(link.to_owned().into());
    }
    let (file, part) = link.split_once('#').map_or((link, None), |(file, part)| (file, Some(part)));
    let part = part.map(|part| format!("#section-{part}")).unwrap_or_default();
    if file.is_empty() {
        return Some(part.into());
    }
    if file == "runbooks" {
        return Some(format!("{INDEX}{file}").into());
    }
    // The last word of a page's name tells it from all others, from whatever directory it is called.
    let last = |path: &'static str| path.rsplit('/').next();
    let name = file.strip_suffix(".md")?.rsplit('/').next();
    let (page, ..) = pages().find(|(page, ..)| last(page) == name)?;
    Some(format!("{INDEX}{page}{part}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_rows_lead_somewhere() {
        let html = as_html(
            "# A `b` Title\n[l](ledger.md#if-the-start-is-refused) [r](../README.md) [h](#a)\n\n| a | b |\n|---:|---|\n\
             | `denied` | `x` |\n\n[e](runbooks/EmrSparkExporterDown.md) [f](EmrSparkThrottled.md) [g](runbooks)\n\n\
             <script>1</script>\n",
        );
        for expected in [
            "<h1 id=\"section-a-b-title\">",
            "href=\"/-/docs/ledger#section-if-the-start-is-refused\"",
            " r <a href=\"#section-a\">h</a>",
            "<code id=\"denied\">denied</code>",
            "<code>x</code>",
            "href=\"/-/docs/runbooks/EmrSparkExporterDown\"",
            "href=\"/-/docs/runbooks/EmrSparkThrottled\"",
            "href=\"/-/docs/runbooks\"",
        ] {
            assert!(html.contains(expected), "{expected}: {html}");
        }
        assert!(!html.contains("<script") && !html.contains("style="), "{html}");
    }

    #[test]
    fn every_reason_and_every_link_between_the_pages_is_there() {
        let pages: Vec<_> = pages().map(|(name, _, text)| (*name, as_html(text))).collect();
        let troubleshooting = &pages[0].1;
        for reason in FailureReason::ALL {
            assert_eq!(troubleshooting.matches(&format!("id=\"{reason}\"")).count(), 1, "{reason}");
        }
        for (name, html) in &pages {
            let mut seen = HashSet::new();
            for id in html.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
                assert!(seen.insert(id), "{name}: {id} twice");
            }
            for link in html.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
                let Some(link) = link.strip_prefix(INDEX).or_else(|| link.strip_prefix('#').map(|_| link))
                else {
                    assert!(link.starts_with("https://"), "{name}: {link}");
                    continue;
                };
                let (page, part) = link.split_once('#').unwrap_or((link, ""));
                let page = if page.is_empty() { *name } else { page };
                if page == "runbooks" {
                    continue;
                }
                let (_, html) = pages.iter().find(|(other, _)| *other == page).unwrap();
                assert!(part.is_empty() || html.contains(&format!("id=\"{part}\"")), "{name}: {link}");
            }
        }
    }

    #[test]
    fn a_page_is_rendered_once() {
        for path in ["", "runbooks", "web", "runbooks/EmrSparkThrottled"] {
            let html = || find(&format!("{INDEX}{path}")).unwrap().html();
            assert_eq!(html().as_ptr(), html().as_ptr(), "{path}");
        }
    }

    #[test]
    fn every_file_of_the_documentation_is_a_page_by_both_of_its_names() {
        let mut files = 0;
        for (directory, prefix) in [("docs", ""), ("docs/runbooks", "runbooks/")] {
            for entry in std::fs::read_dir(directory).unwrap() {
                let file = entry.unwrap().file_name().into_string().unwrap();
                let Some(name) = file.strip_suffix(".md") else { continue };
                assert!(find(&format!("{INDEX}{prefix}{name}")).is_some(), "{directory}/{file}");
                assert!(find(&format!("{INDEX}{prefix}{file}")).is_some(), "{directory}/{file}");
                files += 1;
            }
        }
        assert_eq!(files, pages().count(), "nothing else is served");
        for path in ["", "runbooks", "runbooks/"] {
            assert!(find(&format!("{INDEX}{path}")).is_some(), "{path}");
        }
        for path in ["nothing", "runbooks/nothing", "EmrSparkThrottled", "runbooks.md", ".md"] {
            assert!(find(&format!("{INDEX}{path}")).is_none(), "{path}");
        }
    }
}
