//! What a counter is made of adds up to it, whatever happened to its sessions.

use tokio_util::sync::CancellationToken;

use super::*;
use crate::ledger::{Counter, Explanation, Share, explain};

const COUNTERS: [Counter; 6] = [
    Counter::NanoCuHours,
    Counter::VcoreSeconds,
    Counter::MbSeconds,
    Counter::Created,
    Counter::Terminated,
    Counter::Failed,
];

fn explained(path: &Path, counter: Counter, limit: usize) -> Explanation {
    explain(path, &gateway("g"), "root_queue", counter, limit, &|| false).unwrap().unwrap()
}

fn plus(a: Share, b: Share) -> Share {
    Share {
        counted: a.counted + b.counted,
        excluded: a.excluded + b.excluded,
        overcounted: a.overcounted + b.overcounted,
    }
}

fn shares(explanation: &Explanation) -> Vec<(&str, Share)> {
    explanation.largest.iter().map(|session| (session.session_id.as_str(), session.share)).collect()
}

fn share(counted: i64, excluded: i64, overcounted: i64) -> Share {
    Share { counted, excluded, overcounted }
}

#[tokio::test]
async fn the_parts_of_every_counter_are_its_total() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("l.db");
    let ledger = open_as(&path, Baseline::Exclude);
    let before = |id| ended(session(id, 10, usage(100, 10, 1)), SessionState::Terminated, 20);
    sweep(&ledger, old("g"), 50, vec![before("a"), before("b")]).await;
    let grown = ended(session("b", 10, usage(130, 10, 1)), SessionState::Terminated, 20);
    let failed = ended(session("c", 60, usage(40, 7, 3)), SessionState::Error, 90);
    let revised = session("d", 70, usage(9, 9, 9));
    sweep(&ledger, old("g"), 80, vec![grown.clone(), failed.clone(), session("d", 70, usage(10, 9, 9))])
        .await;
    let pass = sweep(&ledger, old("g"), 100, vec![grown, failed.clone(), revised.clone()]).await;

    let cu = explained(&path, Counter::NanoCuHours, 10);
    assert_eq!(cu.total, share(80, 200, 1));
    assert_eq!((cu.sessions, cu.sessions_kept, cu.sessions_counted), (cu.total, 4, 3));
    // Of what is listed, all is in the counter: "a" was left out of it altogether.
    let expected = [("c", share(40, 0, 0)), ("b", share(30, 100, 0)), ("d", share(10, 0, 1))];
    assert_eq!(shares(&cu), expected);
    assert_eq!(shares(&explained(&path, Counter::NanoCuHours, 2)), expected[..2]);
    let end = &cu.largest[0];
    assert_eq!((end.state, end.created, end.ended), (SessionState::Error, Some(60), Some(90)));
    assert_eq!(
        shares(&explained(&path, Counter::Created, 10)),
        [("d", share(1, 0, 0)), ("c", share(1, 0, 0))]
    );
    assert_eq!(shares(&explained(&path, Counter::Failed, 10)), [("c", share(1, 0, 0))]);
    assert!(shares(&explained(&path, Counter::Terminated, 10)).is_empty());

    // What is pruned is told as a remainder.
    assert_eq!(ledger.prune(pass, 1_000).await.unwrap(), 1);
    let pass = sweep(&ledger, old("g"), 200, vec![revised]).await;
    assert_eq!(ledger.prune(pass, 1_000).await.unwrap(), 2);
    for counter in COUNTERS {
        let found = explained(&path, counter, 1);
        assert_eq!(plus(found.sessions, found.pruned), found.total, "{counter:?}");
        assert_eq!((found.sessions_kept, found.sessions_pruned), (1, 3), "{counter:?}");
    }
    assert_eq!(explained(&path, Counter::NanoCuHours, 9).pruned, share(70, 200, 0));
}

#[tokio::test]
async fn of_equal_sessions_the_latest_comes_first_and_other_queues_stay_out() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("l.db");
    let ledger = open(&path);
    let other = SessionObservation { queue: "other".into(), ..session("other", 1, usage(9, 9, 9)) };
    let same = |id, created| session(id, created, usage(1, 1, 1));
    sweep(&ledger, old("g"), 50, vec![other.clone(), same("b", 2), same("a", 2), same("c", 3)]).await;
    sweep(&ledger, old("h"), 50, vec![same("elsewhere", 9)]).await;
    let ids: Vec<String> =
        explained(&path, Counter::VcoreSeconds, 9).largest.into_iter().map(|s| s.session_id).collect();
    assert_eq!(ids, ["c", "b", "a"]);
    let nothing = explain(&path, &gateway("g"), "no", Counter::Created, 1, &|| false).unwrap();
    assert_eq!(nothing, None);
}

#[tokio::test]
async fn it_stops_when_it_is_told_to_and_takes_no_lock_from_the_writer() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("l.db");
    let ledger = open(&path);
    sweep(&ledger, old("g"), 50, vec![session("a", 1, usage(1, 1, 1))]).await;
    let stopped = explain(&path, &gateway("g"), "root_queue", Counter::Created, 1, &|| true);
    assert!(stopped.unwrap_err().to_string().contains("explaining a counter"));
    // A lock that is lost would let the last one to close the file take its log away.
    let locks = || {
        use std::os::unix::fs::MetadataExt;
        let inode = format!(":{} ", std::fs::metadata(&path).unwrap().ino());
        let process = format!(" {} ", std::process::id());
        let all = std::fs::read_to_string("/proc/locks").unwrap();
        all.lines().filter(|line| line.contains(&inode) && line.contains(&process)).count()
    };
    let before = locks();
    assert!(before > 0, "the writer holds the file");
    explained(&path, Counter::Created, 1);
    assert_eq!(locks(), before);
    crate::ledger::back_up_beside(&path, &CancellationToken::new()).unwrap();
    assert_eq!(locks(), before);
}
