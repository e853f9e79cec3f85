//! Workspaces that pass from one account to another.

use std::collections::BTreeSet;

use super::*;
use crate::ledger::{ClusterSweep, Counter, explain, inspect, verify};
use crate::model::{ClusterKind, ClusterState};

fn of(account: &str) -> WorkspaceId {
    WorkspaceId { account: account.into(), ..workspace() }
}

fn gateway_of(account: &str, id: &str) -> GatewayId {
    GatewayId { workspace: of(account), livy_compute_id: id.into() }
}

fn old_of(account: &str, id: &str) -> Discovered {
    Discovered { gateway: gateway_of(account, id), ..old(id) }
}

fn used(id: &str, nano_cu_hours: i64) -> SessionObservation {
    session(id, 10, usage(nano_cu_hours, nano_cu_hours, nano_cu_hours))
}

fn counted_by(ledger: &Ledger, account: &str, id: &str) -> i64 {
    ledger.snapshot().gateways[&gateway_of(account, id)].series["root_queue"].usage().nano_cu_hours
}

async fn see_clusters(ledger: &Ledger, account: &str, at: UnixMillis, state: ClusterState) {
    let seen = vec![("c".to_owned(), ClusterKind::Sql, state)];
    ledger.apply_clusters(ClusterSweep { workspace: of(account), seen, complete: true, at }).await.unwrap();
}

/// Two gateways with queues, ended and pruned sessions, and a session cluster that changed; another workspace beside it.
async fn fill(ledger: &Ledger) {
    let many = |from: i64| {
        let one = |i: i64| {
            let mut one = ended(used(&format!("s{i}"), i + 1), SessionState::Error, 1_000 * i);
            one.queue = format!("q{}", i % 3);
            one
        };
        (from..40).map(one).collect::<Vec<_>>()
    };
    sweep(ledger, old("g1"), 5, many(0)).await;
    sweep(ledger, old("g2"), 5, many(30)).await;
    let pass = sweep(ledger, old("g1"), 6, many(20)).await;
    assert_eq!(ledger.prune(pass, i64::MAX).await.unwrap(), 20);
    let states = [ClusterState::Stopped, ClusterState::Starting, ClusterState::Running];
    for (at, state) in [1, 2, 9_000].into_iter().zip(states) {
        see_clusters(ledger, "a", at, state).await;
    }
    let mut elsewhere = old("g3");
    elsewhere.gateway.workspace.workspace_id = "w-2".into();
    sweep(ledger, elsewhere, 7, many(35)).await;
}

/// All totals, as text, whoever has them.
fn all(ledger: &Ledger) -> BTreeSet<String> {
    let snapshot = ledger.snapshot();
    let gateways = snapshot.gateways.iter();
    let gateways = gateways.map(|(id, totals)| (&*id.workspace.workspace_id, format!("{totals:?}")));
    let workspaces = snapshot.workspaces.iter();
    let workspaces = workspaces.map(|(id, totals)| (&*id.workspace_id, format!("{totals:?}")));
    gateways.chain(workspaces).map(|(id, totals)| format!("{id} {totals}")).collect()
}

#[tokio::test]
async fn all_that_was_counted_of_a_workspace_passes_and_nothing_else_changes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("l.db");
    fill(&open(&path)).await;
    // Exemplars are in memory alone.
    let ledger = open(&path);
    let before = all(&ledger);
    let share = |account: &str| {
        explain(&path, &gateway_of(account, "g1"), "q0", Counter::NanoCuHours, 5, &|| false).unwrap()
    };
    let explained = share("a").unwrap();
    let mut published = ledger.subscribe();
    published.mark_unchanged();

    assert_eq!(ledger.take_over(vec![of("b")]).await.unwrap(), [of("a")]);
    assert!(published.has_changed().unwrap(), "pages follow");
    let owned = |ledger: &Ledger| {
        let snapshot = ledger.snapshot();
        let name = |id: &GatewayId| format!("{} {}", id.workspace.account, id.livy_compute_id);
        let gateways = snapshot.gateways.keys().map(name).collect::<Vec<_>>().join(", ");
        (gateways, snapshot.workspaces.keys().map(|id| id.account.clone()).collect::<Vec<_>>())
    };
    let of_b = ("a g3, b g1, b g2".to_owned(), vec!["b".to_owned()]);
    assert_eq!((owned(&ledger), all(&ledger)), (of_b.clone(), before.clone()));
    assert_eq!((share("a"), share("b").unwrap()), (None, explained));
    drop((published, ledger));
    verify(&path).unwrap();
    let ledger = open(&path);
    assert_eq!((owned(&ledger), all(&ledger)), (of_b, before.clone()));

    // And back.
    assert_eq!(ledger.take_over(vec![of("a")]).await.unwrap(), [of("b")]);
    drop(ledger);
    verify(&path).unwrap();
    let ledger = open(&path);
    assert_eq!(owned(&ledger), ("a g1, a g2, a g3".to_owned(), vec!["a".to_owned()]));
    assert_eq!(all(&ledger), before);
}

#[tokio::test]
async fn what_is_there_already_costs_no_commit() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("l.db");
    let ledger = open(&path);
    fill(&ledger).await;
    ledger.take_over(vec![of("b")]).await.unwrap();
    let commits = verify(&path).unwrap().commits;
    let mut published = ledger.subscribe();
    published.mark_unchanged();
    let unknown = WorkspaceId { account: "b".into(), workspace_id: "w-9".into() };
    for _ in 0..3 {
        assert_eq!(ledger.take_over(vec![of("b"), unknown.clone()]).await.unwrap(), []);
    }
    assert_eq!(verify(&path).unwrap().commits, commits);
    assert!(!published.has_changed().unwrap());
}

#[tokio::test]
async fn a_pass_that_is_under_way_counts_on_under_the_new_account() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("l.db");
    let ledger = open(&path);
    sweep(&ledger, old("g"), 5, vec![used("s1", 10), used("s2", 20)]).await;
    see_clusters(&ledger, "a", 1, ClusterState::Stopped).await;
    let pass = ledger.begin_pass(old("g"), 6).await.unwrap();
    ledger.apply_sessions(pass, vec![used("s1", 11)]).await.unwrap();
    ledger.take_over(vec![of("b")]).await.unwrap();
    let applied = ledger.apply_sessions(pass, vec![used("s2", 19), used("s3", 30)]).await.unwrap();
    assert_eq!(applied.revised_down, 1);
    ledger.complete_pass(pass, None, 7).await.unwrap();
    assert_eq!(counted_by(&ledger, "b", "g"), 11 + 20 + 30);

    // The next one is of the same gateway: what was seen is known.
    let next =
        sweep(&ledger, old_of("b", "g"), 8, vec![used("s1", 12), used("s2", 20), used("s3", 30)]).await;
    assert_eq!(ledger.unseen(next, None, None).await.unwrap(), 0);
    see_clusters(&ledger, "b", 2, ClusterState::Running).await;
    let changes = &ledger.snapshot().workspaces[&of("b")].changes;
    assert_eq!(changes[&(ClusterKind::Sql, ClusterState::Running)], 1);
    drop(ledger);
    verify(&path).unwrap();
    let ledger = open(&path);
    assert_eq!(counted_by(&ledger, "b", "g"), 12 + 20 + 30);
    assert_eq!((ledger.snapshot().gateways.len(), ledger.snapshot().sessions), (1, 3));
}

#[tokio::test]
async fn what_an_account_has_counted_itself_is_never_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("l.db");
    let ledger = open(&path);
    // As ledgers of earlier versions have it.
    for (account, figure) in [("a", 10), ("b", 100)] {
        sweep(&ledger, old_of(account, "g1"), 5, vec![used("s1", figure)]).await;
        see_clusters(&ledger, account, figure, ClusterState::Running).await;
    }
    sweep(&ledger, old_of("a", "g2"), 5, vec![used("s1", 7)]).await;
    assert_eq!(ledger.take_over(vec![of("b")]).await.unwrap(), [of("a")]);
    let figures = [("a", "g1"), ("b", "g1"), ("b", "g2")].map(|(a, id)| counted_by(&ledger, a, id));
    assert_eq!(figures, [10, 100, 7]);
    let complete = |account| ledger.snapshot().workspaces[&of(account)].clusters_complete;
    assert_eq!((complete("a"), complete("b")), (Some(10), Some(100)));
    assert_eq!(ledger.take_over(vec![of("b")]).await.unwrap(), [], "and stays so");

    // Of two others, the one that swept the whole last had it last.
    sweep(&ledger, old_of("a", "g1"), 9, vec![used("s1", 11)]).await;
    assert_eq!(ledger.take_over(vec![of("c")]).await.unwrap(), [of("a"), of("b")]);
    let figures = [("c", "g1"), ("b", "g1"), ("c", "g2")].map(|(a, id)| counted_by(&ledger, a, id));
    assert_eq!(figures, [11, 100, 7]);
    assert_eq!(complete("c"), Some(100));
    drop(ledger);
    verify(&path).unwrap();
}

#[tokio::test]
async fn a_hand_over_that_fails_leaves_all_where_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("l.db");
    let ledger = open(&path);
    fill(&ledger).await;
    let before = all(&ledger);
    // Gateways pass first; then this.
    let other = rusqlite::Connection::open(&path).unwrap();
    other
        .execute_batch(
            "CREATE TRIGGER no BEFORE UPDATE ON workspace BEGIN SELECT raise(ABORT, 'not now'); END",
        )
        .unwrap();
    let error = ledger.take_over(vec![of("b")]).await.unwrap_err().to_string();
    assert!(error.contains("passing a workspace to another account") && error.contains("not now"), "{error}");
    assert_eq!(all(&ledger), before);
    other.execute_batch("DROP TRIGGER no").unwrap();
    drop(other);
    let on_disk = |account: &str| {
        let found = inspect(&path).unwrap().totals;
        found.gateways.keys().filter(|id| id.workspace == of(account)).count()
    };
    assert_eq!((on_disk("a"), on_disk("b")), (2, 0));
    ledger.take_over(vec![of("b")]).await.unwrap();
    assert_eq!((on_disk("a"), on_disk("b")), (0, 2));
    drop(ledger);
    verify(&path).unwrap();
}

#[tokio::test]
async fn what_a_workspace_gets_after_another_account_watched_it_is_born_under_watch() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open_as(&directory.path().join("l.db"), Baseline::Exclude);
    let since = |account: &str| ledger.snapshot().watched_since(&of(account));
    assert_eq!(since("a"), None);
    let born = Discovered { gateway: gateway_of("a", "g1"), created: Some(1_500), watched_since: 1_000 };
    sweep(&ledger, born, 3_000, vec![]).await;
    assert_eq!(since("a"), Some(3_000), "when all of it was first seen");
    see_clusters(&ledger, "a", 2_500, ClusterState::Running).await;
    assert_eq!(since("a"), Some(2_500));
    sweep(&ledger, old("g2"), 2_000, vec![]).await;
    ledger.take_over(vec![of("b")]).await.unwrap();
    assert_eq!((since("a"), since("b")), (None, Some(2_000)));
    let watched_since = since("b").unwrap();
    let late = Discovered { gateway: gateway_of("b", "g3"), created: Some(4_000), watched_since };
    let mut all_of_it = used("s1", 9);
    all_of_it.created = Some(4_001);
    sweep(&ledger, late, 9_000, vec![all_of_it]).await;
    assert_eq!(counted_by(&ledger, "b", "g3"), 9);
}
