//! What counts, and when.

use super::*;
use crate::ledger::LedgerError;
use crate::model::{Before, ReportedUsage};

#[tokio::test]
async fn growth_counts_once_and_repeats_do_not() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(&directory.path().join("l.db"));
    let page = vec![session("s1", 10, usage(100, 10, 1)), session("s2", 20, usage(50, 5, 2))];
    let pass = ledger.begin_pass(old("g"), 2_000).await.unwrap();
    let first = ledger.apply_sessions(pass, page.clone()).await.unwrap();
    let again = ledger.apply_sessions(pass, page).await.unwrap();
    assert_eq!((first.before, first.revised_down), (vec![Before::New; 2], 0));
    assert_eq!((again.before, again.revised_down), (vec![Before::Seen(SessionState::Running); 2], 0));
    assert_eq!(counted(&ledger, "g"), usage(150, 15, 3));
    sweep(&ledger, old("g"), 3_000, vec![session("s1", 10, usage(130, 10, 7))]).await;
    assert_eq!(counted(&ledger, "g"), usage(180, 15, 9));
    assert_eq!(totals(&ledger, "g").series["root_queue"].created, 2);
}

#[tokio::test]
async fn a_pass_knows_what_it_has_not_seen_again() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(&directory.path().join("l.db"));
    let page = |ids: &[&str]| ids.iter().map(|id| session(id, 10, Usage::ZERO)).collect::<Vec<_>>();
    sweep(&ledger, old("g"), 2_000, page(&["s1", "s2", "s3"])).await;
    sweep(&ledger, old("g"), 3_000, page(&["s1", "s2"])).await;
    let pass = ledger.begin_pass(old("g"), 4_000).await.unwrap();
    ledger.apply_sessions(pass, page(&["s1", "s4"])).await.unwrap();
    // s3 was gone before the latest complete pass already.
    assert_eq!(ledger.unseen(pass, None, None).await.unwrap(), 1);
    assert_eq!(ledger.unseen(pass, None, Some(11)).await.unwrap(), 0, "it may have left with its age");
    // What no pass of a sweep has seen is gone.
    assert_eq!(ledger.unseen(pass, Some(pass), None).await.unwrap(), 0);
}

#[tokio::test]
async fn the_same_session_id_in_two_gateways_is_two_sessions() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(&directory.path().join("l.db"));
    for id in ["g1", "g2"] {
        sweep(&ledger, old(id), 2_000, vec![session("s", 10, usage(7, 7, 7))]).await;
        assert_eq!(counted(&ledger, id), usage(7, 7, 7));
    }
    assert_eq!(ledger.snapshot().sessions, 2);
}

#[tokio::test]
async fn a_downward_revision_leaves_the_counter_and_shows_as_overcounted() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(&directory.path().join("l.db"));
    sweep(&ledger, old("g"), 2_000, vec![session("s", 10, usage(100, 10, 5))]).await;
    let pass = ledger.begin_pass(old("g"), 3_000).await.unwrap();
    let lower = ledger.apply_sessions(pass, vec![session("s", 10, usage(60, 10, 6))]).await.unwrap();
    assert_eq!(lower.revised_down, 1);
    let series = totals(&ledger, "g").series["root_queue"];
    assert_eq!((series.usage(), series.over), (usage(100, 10, 6), usage(40, 0, 0)));
    // Growth up to the old height is not new usage; beyond it, it is.
    sweep(&ledger, old("g"), 4_000, vec![session("s", 10, usage(110, 10, 6))]).await;
    let series = totals(&ledger, "g").series["root_queue"];
    assert_eq!((series.usage(), series.over), (usage(110, 10, 6), Usage::ZERO));
}

#[tokio::test]
async fn a_missing_figure_is_no_revision() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(&directory.path().join("l.db"));
    sweep(&ledger, old("g"), 2_000, vec![session("s", 10, usage(100, 10, 5))]).await;
    let mut silent = session("s", 10, Usage::ZERO);
    silent.usage = ReportedUsage { vcore_seconds: Some(12), ..ReportedUsage::default() };
    sweep(&ledger, old("g"), 3_000, vec![silent]).await;
    let series = totals(&ledger, "g").series["root_queue"];
    assert_eq!((series.usage(), series.over), (usage(100, 12, 5), Usage::ZERO));
}

#[tokio::test]
async fn a_session_stays_with_the_queue_it_was_first_seen_in() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(&directory.path().join("l.db"));
    sweep(&ledger, old("g"), 2_000, vec![session("s", 10, usage(100, 0, 0))]).await;
    let mut moved = session("s", 10, usage(150, 0, 0));
    moved.queue = "dev_queue".into();
    let pass = ledger.begin_pass(old("g"), 3_000).await.unwrap();
    let applied = ledger.apply_sessions(pass, vec![moved]).await.unwrap();
    assert_eq!(applied.sessions[0].queue, "root_queue");
    assert_eq!(applied.before, [Before::Known(SessionState::Running)]);
    assert_eq!(totals(&ledger, "g").series.keys().collect::<Vec<_>>(), ["root_queue"]);
    assert_eq!(counted(&ledger, "g"), usage(150, 0, 0));
}

#[tokio::test]
async fn an_end_and_its_duration_count_once() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(&directory.path().join("l.db"));
    let done = ended(session("s1", 1_000, usage(1, 1, 1)), SessionState::Terminated, 301_000);
    // The state may flap, and the time of the end may come late.
    let mut failed = ended(session("s2", 1_000, usage(1, 1, 1)), SessionState::Error, 0);
    failed.ended = None;
    sweep(&ledger, old("g"), 2_000, vec![done.clone(), failed.clone()]).await;
    assert_eq!(totals(&ledger, "g").durations.count(), 1);
    failed.ended = Some(61_000);
    failed.state = SessionState::Terminated;
    sweep(&ledger, old("g"), 3_000, vec![done, failed]).await;
    let gateway = totals(&ledger, "g");
    let series = &gateway.series["root_queue"];
    assert_eq!((series.created, series.terminated, series.error), (2, 1, 1));
    let counts = gateway.durations.cumulative().map(|(bound, count, _)| (bound, count));
    assert_eq!(counts.take(2).collect::<Vec<_>>(), [(Some(60), 1), (Some(300), 2)]);
    assert_eq!(gateway.durations.sum(), Duration::from_secs(360));
}

#[tokio::test]
async fn an_excluded_baseline_counts_only_what_comes_after() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open_as(&directory.path().join("l.db"), Baseline::Exclude);
    let over = ended(session("old-ended", 100, usage(1_000, 9, 9)), SessionState::Terminated, 900);
    let running = session("old-running", 200, usage(500, 5, 5));
    let young = session("young", 2_500, usage(30, 3, 3));
    sweep(&ledger, old("g"), 2_000, vec![over.clone(), running, young]).await;
    assert_eq!(counted(&ledger, "g"), usage(30, 3, 3));
    // What the old ones grow by is usage; one that the first sweep missed is baseline all the same.
    let grown = ended(session("old-running", 200, usage(540, 5, 5)), SessionState::Error, 2_900);
    let missed = session("old-missed", 300, usage(70, 7, 7));
    let late = session("late", 2_600, usage(8, 8, 8));
    sweep(&ledger, old("g"), 3_000, vec![over, grown, missed, late]).await;
    assert_eq!(counted(&ledger, "g"), usage(78, 11, 11));
    let series = totals(&ledger, "g").series["root_queue"];
    assert_eq!((series.created, series.terminated, series.error), (2, 0, 1));
}

#[tokio::test]
async fn a_gateway_born_under_watch_has_no_baseline() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open_as(&directory.path().join("l.db"), Baseline::Exclude);
    assert_eq!(ledger.watch_scope(scope(), 1_000).await.unwrap(), 1_000);
    assert_eq!(ledger.watch_scope(scope(), 9_000).await.unwrap(), 1_000);
    let born = Discovered { gateway: gateway("g"), created: Some(1_500), watched_since: 1_000 };
    sweep(&ledger, born, 2_000, vec![session("s", 1_600, usage(5, 5, 5))]).await;
    let gateway = totals(&ledger, "g");
    assert!(gateway.series["root_queue"].held, "its first value must be shown as zero first");
    assert_eq!(counted(&ledger, "g"), usage(5, 5, 5));
}

#[tokio::test]
async fn counters_appear_when_the_baseline_is_complete_and_later_queues_are_held_until_released() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("l.db");
    let ledger = open(&path);
    let pass = ledger.begin_pass(old("g"), 2_000).await.unwrap();
    ledger.apply_sessions(pass, vec![session("s", 10, usage(5, 5, 5))]).await.unwrap();
    assert_eq!(totals(&ledger, "g").baseline_complete, None);
    ledger.complete_pass(pass, None, 2_100).await.unwrap();
    assert_eq!(totals(&ledger, "g").baseline_complete, Some(2_100));
    assert!(!totals(&ledger, "g").series["root_queue"].held);

    let mut other = session("s2", 2_200, usage(9, 9, 9));
    other.queue = "dev_queue".into();
    sweep(&ledger, old("g"), 3_000, vec![other]).await;
    let key = totals(&ledger, "g").series["dev_queue"].key;
    drop(ledger);
    let ledger = open(&path);
    assert!(totals(&ledger, "g").series["dev_queue"].held, "a restart must not skip the zero");
    ledger.release(vec![key]).await.unwrap();
    assert!(!totals(&ledger, "g").series["dev_queue"].held);
    drop(ledger);
    assert!(!totals(&open(&path), "g").series["dev_queue"].held);
}

#[tokio::test]
async fn a_total_out_of_range_is_refused_and_leaves_the_rest_of_the_transaction() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("l.db");
    let ledger = open(&path);
    let pass = ledger.begin_pass(old("g"), 2_000).await.unwrap();
    let huge = usage(i64::MAX - 5, 0, 0);
    ledger.apply_sessions(pass, vec![session("s1", 10, huge)]).await.unwrap();
    let page = vec![session("s2", 10, usage(1, 1, 1)), session("s3", 10, usage(10, 0, 0))];
    let (refused, taken) = tokio::join!(
        ledger.apply_sessions(pass, page),
        ledger.apply_sessions(pass, vec![session("s4", 10, usage(2, 2, 2))]),
    );
    assert!(matches!(refused, Err(LedgerError::Overflow { .. })), "{refused:?}");
    assert_eq!(taken.unwrap().before, [Before::New]);
    assert_eq!(counted(&ledger, "g"), usage(i64::MAX - 3, 2, 2));
    drop(ledger);
    assert_eq!(counted(&open(&path), "g"), usage(i64::MAX - 3, 2, 2));
}

#[tokio::test]
async fn what_a_failure_takes_back_is_not_listed_either() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("l.db");
    let ledger = open(&path);
    let page = |prefix: &str| -> Vec<SessionObservation> {
        (0..50).map(|i| session(&format!("{prefix}{i}"), 10, usage(1, 1, 1))).collect()
    };
    let pass = ledger.begin_pass(old("g"), 1_000).await.unwrap();
    let lost = page("lost");
    let failed = ledger.writer.call(move |store| {
        crate::ledger::session::apply(store, pass, lost)?;
        Err::<(), _>(LedgerError::Closed)
    });
    failed.await.unwrap_err();
    // More than memory lists in a test: all of them move to the table of places, and the opening compares that.
    for prefix in ["a", "b", "a", "c"] {
        ledger.apply_sessions(pass, page(prefix)).await.unwrap();
    }
    drop(ledger);
    let ledger = open(&path);
    assert_eq!(ledger.snapshot().sessions, 150);
    assert_eq!(counted(&ledger, "g"), usage(150, 150, 150));
}
