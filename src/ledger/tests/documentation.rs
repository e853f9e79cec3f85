//! `docs/ledger.md` against the schema: it names every table and column, no other, and its queries run.

use std::collections::BTreeMap;

use super::*;

fn document() -> String {
    std::fs::read_to_string("docs/ledger.md").unwrap()
}

#[test]
fn every_table_and_column_is_documented_and_no_other() {
    let fresh = crate::ledger::schema::in_memory().unwrap();
    let sql =
        "SELECT s.name, c.name FROM sqlite_schema s, pragma_table_xinfo(s.name) c WHERE s.type = 'table'";
    let mut select = fresh.prepare(sql).unwrap();
    let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap() {
        let (table, column): (String, String) = row.unwrap();
        expected.entry(table).or_default().push(column);
    }
    assert!(expected.len() > 10);
    let text = document();
    let (_, schema) = text.split_once("\n## The schema\n").unwrap();
    let sections = schema.split("\n### `").skip(1).map(|section| section.split_once('`').unwrap());
    let documented: BTreeMap<String, Vec<String>> = sections
        .map(|(table, section)| {
            let first_cells = section.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
            let names =
                first_cells.flat_map(|cell| cell.split("`, `")).map(|name| name.trim_end_matches('`'));
            (table.to_owned(), names.map(str::to_owned).collect())
        })
        .collect();
    assert_eq!(documented, expected);
}

#[tokio::test]
async fn its_queries_run_beside_the_daemon() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("l.db");
    let ledger = open(&path);
    let day = 86_400_000;
    let done = ended(session("s1", day, usage(2_500_000_000, 1, 1)), SessionState::Error, 2 * day);
    sweep(&ledger, old("g"), 2 * day, vec![done, session("s2", day, usage(1, 1, 1))]).await;
    let reader =
        rusqlite::Connection::open_with_flags(&path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let text = document();
    let queries: Vec<&str> =
        text.split("```sql\n").skip(1).map(|block| block.split("```").next().unwrap()).collect();
    assert_eq!(queries.len(), 5);
    for query in &queries {
        let mut select = reader.prepare(query).unwrap();
        let rows = select.query_map([], |_| Ok(())).unwrap().count();
        assert!(rows > 0, "{query}");
    }
    let first: (String, String, f64) =
        reader.query_row(queries[0], [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    assert_eq!(first, ("1970-01-03".into(), "root_queue".into(), 2.5));
    sweep(&ledger, old("g"), 3 * day, vec![session("s3", day, usage(1, 1, 1))]).await;
}
