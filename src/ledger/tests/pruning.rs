//! What is no longer kept, what comes back, and that the totals stay.

use super::*;

const DAY: i64 = 86_400_000;

fn kept(ledger: &Ledger) -> u64 {
    ledger.snapshot().sessions
}

/// Three sessions, of which the later passes list the third alone.
async fn begun(path: &Path, baseline: Baseline) -> (Ledger, Pass) {
    let ledger = open_as(path, baseline);
    let done = ended(session("done", 10, usage(100, 10, 1)), SessionState::Terminated, 70_010);
    let failed = ended(session("failed", 20, usage(50, 5, 2)), SessionState::Error, DAY);
    let lasting = session("lasting", 30, usage(7, 7, 7));
    sweep(&ledger, old("g"), 5, vec![done, failed, lasting.clone()]).await;
    let pass = sweep(&ledger, old("g"), 3 * DAY, vec![lasting]).await;
    (ledger, pass)
}

#[tokio::test]
async fn a_pruned_session_leaves_its_part_of_every_total() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("l.db");
    let (ledger, pass) = begun(&path, Baseline::Include).await;
    let before = totals(&ledger, "g");
    // Only what ended before the moment, and is listed no more.
    assert_eq!(ledger.prune(pass, 70_010).await.unwrap(), 0);
    assert_eq!(ledger.prune(pass, 70_011).await.unwrap(), 1);
    assert_eq!((kept(&ledger), totals(&ledger, "g").pruned_through), (2, Some(10)));
    assert_eq!(ledger.prune(pass, 100 * DAY).await.unwrap(), 1);
    assert_eq!((kept(&ledger), totals(&ledger, "g").pruned_through), (1, Some(20)));
    drop(ledger);
    let ledger = open(&path);
    let after = totals(&ledger, "g");
    assert_eq!((&after.series, &after.durations), (&before.series, &before.durations));
    let inspected = crate::ledger::inspect(&path).unwrap();
    assert_eq!(inspected.sessions[&after.series["root_queue"].key], (1, 2));
    assert_eq!(crate::ledger::verify(&path).unwrap().pruned, 2);
}

#[tokio::test]
async fn what_is_listed_or_runs_or_came_before_the_first_pass_is_over_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(&directory.path().join("l.db"));
    let done = ended(session("done", 10, usage(100, 10, 1)), SessionState::Terminated, 20);
    let runs = session("runs", 10, usage(1, 1, 1));
    let mut timeless = ended(session("timeless", 10, usage(1, 1, 1)), SessionState::Error, 0);
    (timeless.created, timeless.ended) = (None, None);
    let future = ended(session("future", 900 * DAY, usage(1, 1, 1)), SessionState::Terminated, 20);
    let pass = ledger.begin_pass(old("g"), 5).await.unwrap();
    ledger.apply_sessions(pass, vec![done.clone(), runs, timeless, future]).await.unwrap();
    let pass = sweep(&ledger, old("g"), 6, vec![done.clone()]).await;
    assert_eq!(ledger.prune(pass, 100 * DAY).await.unwrap(), 0);
    let pass = sweep(&ledger, old("g"), 7, vec![done]).await;
    assert_eq!(ledger.prune(pass, 100 * DAY).await.unwrap(), 0);
    let pass = sweep(&ledger, old("g"), 8, vec![]).await;
    assert_eq!(ledger.prune(pass, 100 * DAY).await.unwrap(), 1);
    assert_eq!(totals(&ledger, "g").pruned_through, Some(10));
}

#[tokio::test]
async fn an_id_that_comes_back_counts_only_what_it_grows_by_unless_it_is_younger() {
    for baseline in [Baseline::Include, Baseline::Exclude] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("l.db");
        let (ledger, pass) = begun(&path, baseline).await;
        assert_eq!(ledger.prune(pass, 2 * DAY).await.unwrap(), 2);
        let before = totals(&ledger, "g").series["root_queue"];
        let mut back = ended(session("failed", 20, usage(50, 5, 2)), SessionState::Error, DAY);
        let mut timeless = back.clone();
        (timeless.session_id, timeless.created) = ("timeless".into(), None);
        sweep(&ledger, old("g"), 4 * DAY, vec![back.clone(), timeless]).await;
        let after = totals(&ledger, "g").series["root_queue"];
        assert_eq!(after.usage(), before.usage());
        assert_eq!(
            (after.created, after.terminated, after.error),
            (before.created, before.terminated, before.error)
        );
        assert_eq!(after.over, Usage::ZERO);
        // What it grows by is usage.
        back.usage = usage(60, 5, 2).into();
        sweep(&ledger, old("g"), 5 * DAY, vec![back]).await;
        let more = before.usage().checked_add(usage(10, 0, 0)).unwrap();
        assert_eq!(counted(&ledger, "g"), more);
        // The same id at a later creation is another session.
        let mut young = session("done", 6 * DAY, usage(1, 1, 1));
        young.created = Some(6 * DAY);
        sweep(&ledger, old("g"), 7 * DAY, vec![young]).await;
        assert_eq!(counted(&ledger, "g"), more.checked_add(usage(1, 1, 1)).unwrap());
        assert_eq!(totals(&ledger, "g").series["root_queue"].created, before.created + 1);
        drop(ledger);
        crate::ledger::verify(&path).unwrap();
    }
}

#[tokio::test]
async fn many_sessions_are_pruned_batch_by_batch_and_each_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("l.db");
    let ledger = open(&path);
    let session = |i: i64| {
        let state = if i % 3 == 0 { SessionState::Running } else { SessionState::Terminated };
        let mut session = ended(session(&format!("s{i}"), i, usage(i, 1, 2)), state, i + 1);
        session.queue = format!("q{}", i % 5);
        session
    };
    sweep(&ledger, old("g"), 5, (0..9_000).map(session).collect()).await;
    sweep(&ledger, old("other"), 5, (0..100).map(session).collect()).await;
    let pass = sweep(&ledger, old("g"), DAY, vec![]).await;
    let before = totals(&ledger, "g");
    assert_eq!(ledger.prune(pass, DAY).await.unwrap(), 6_000);
    assert_eq!(ledger.prune(pass, DAY).await.unwrap(), 0);
    assert_eq!(kept(&ledger), 3_100);
    drop(ledger);
    let ledger = open(&path);
    assert_eq!(totals(&ledger, "g").series, before.series);
}
