//! What the ledger remembers of a history.

use super::*;
use crate::ledger::Remembered;
use crate::model::{HistoryOrder, SessionCounts};

#[tokio::test]
async fn a_restart_knows_what_is_listed_and_where_unsettled_sessions_are() {
    use SessionState::{Running, Terminated};
    for order in [HistoryOrder::NewestFirst, HistoryOrder::OldestFirst] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("l.db");
        let ledger = open(&path);
        let settled =
            |id: &str, created| ended(session(id, created, usage(1, 1, 1)), Terminated, created + 5);
        // One that is gone before the pass that counts.
        sweep(&ledger, old("g"), 1_000, vec![settled("gone", 1)]).await;
        let pass = ledger.begin_pass(old("g"), 2_000).await.unwrap();
        let page = vec![
            settled("s10", 10),
            session("s20", 20, usage(7, 7, 7)),
            settled("s30", 30),
            settled("s40", 40),
            session("s50", 50, usage(9, 9, 9)),
        ];
        ledger.apply_sessions(pass, page).await.unwrap();
        ledger.complete_pass(pass, Some(order), 2_100).await.unwrap();
        // A poll since then has seen a birth, and an end a short while ago.
        let poll = ledger.begin_pass(old("g"), 3_000).await.unwrap();
        let late = ended(session("s40", 40, usage(1, 1, 1)), Terminated, 2_900);
        ledger.apply_sessions(poll, vec![session("s60", 60, Usage::ZERO), late]).await.unwrap();

        let listed = SessionCounts::from_iter([("root_queue", Running, 3), ("root_queue", Terminated, 3)]);
        assert_eq!(ledger.count_listed(poll, i64::MIN).await.unwrap(), listed);
        let younger = SessionCounts::from_iter([("root_queue", Running, 2), ("root_queue", Terminated, 2)]);
        assert_eq!(ledger.count_listed(poll, 30).await.unwrap(), younger);

        drop(ledger);
        let ledger = open(&path);
        let memory = ledger.remember(gateway("g"), 2_500).await.unwrap().unwrap();
        let Remembered { order: remembered, full_pass_at, counts, unsettled } = memory;
        assert_eq!((remembered, full_pass_at, counts), (order, 2_100, listed));
        let places: Vec<(&str, u64)> =
            unsettled.iter().map(|(seen, index)| (seen.session_id.as_str(), *index)).collect();
        let expected = match order {
            HistoryOrder::OldestFirst => [("s20", 1), ("s40", 3), ("s50", 4), ("s60", 5)],
            HistoryOrder::NewestFirst => [("s20", 4), ("s40", 2), ("s50", 1), ("s60", 0)],
        };
        assert_eq!(places, expected);
    }
}

#[tokio::test]
async fn without_a_proven_order_there_is_nothing_to_remember() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(&directory.path().join("l.db"));
    assert_eq!(ledger.remember(gateway("g"), 0).await.unwrap(), None);
    sweep(&ledger, old("g"), 1_000, vec![session("s", 1, Usage::ZERO)]).await;
    assert_eq!(ledger.remember(gateway("g"), 0).await.unwrap(), None);
}
