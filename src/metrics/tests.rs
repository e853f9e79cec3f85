//! What the page shows, and when.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::clock::UnixMillis;
use crate::config;
use crate::ledger::{ClusterSweep, CommitObserver, Discovered, Ledger, Options};
use crate::model::{
    Baseline, ClusterKind, ClusterObservation, ClusterState, Format, GatewayId, GatewayObservation,
    GatewayState, ScopeId, SessionObservation, SessionState, Usage, WorkspaceId, WorkspaceObservation,
};

struct Unobserved;

impl CommitObserver for Unobserved {
    fn on_commit(&self, _: Duration, _: bool) {}
}

pub(super) fn ledger(directory: &Path) -> Ledger {
    let options = Options { path: directory.join("l.db"), baseline: Baseline::Include };
    Ledger::open(&options, Arc::new(Unobserved)).unwrap()
}

pub(super) fn scope() -> ScopeId {
    ScopeId { account: "a".into(), region: "cn-hangzhou".into() }
}

pub(super) fn workspace() -> WorkspaceId {
    WorkspaceId { account: "a".into(), workspace_id: "w-1".into() }
}

pub(crate) fn gateway() -> GatewayId {
    GatewayId { workspace: workspace(), livy_compute_id: "lc-1".into() }
}

fn exposition(zero_hold: u64) -> Exposition {
    let settings = config::Exposition {
        zero_hold: Duration::from_secs(zero_hold),
        stale_after: Duration::from_secs(600),
        created_timestamps: false,
    };
    Exposition::new(settings, config::Pricing::default(), vec![scope()])
}

pub(crate) fn session(id: &str, queue: &str, nano_cu_hours: i64) -> SessionObservation {
    let usage = Usage { nano_cu_hours, vcore_seconds: 7, mb_seconds: 3 };
    SessionObservation {
        session_id: id.into(),
        name: "etl".into(),
        queue: queue.into(),
        state: SessionState::Running,
        created: Some(1_000),
        ended: None,
        usage: usage.into(),
    }
}

async fn sweep(ledger: &Ledger, now: UnixMillis, sessions: Vec<SessionObservation>) {
    sweep_of(ledger, gateway(), now, sessions).await;
}

async fn sweep_of(ledger: &Ledger, gateway: GatewayId, now: UnixMillis, sessions: Vec<SessionObservation>) {
    let found = Discovered { gateway, created: None, watched_since: 0 };
    let pass = ledger.begin_pass(found, now).await.unwrap();
    ledger.apply_sessions(pass, sessions).await.unwrap();
    ledger.complete_pass(pass, None, now).await.unwrap();
}

fn page(exposition: &Exposition, now: UnixMillis) -> String {
    text(&exposition.render(now))
}

fn text(rendered: &Rendered) -> String {
    String::from_utf8(rendered.body.parts(Format::Text).concat()).unwrap()
}

fn value(page: &str, series: &str) -> Option<f64> {
    let line = page.lines().find_map(|line| line.strip_prefix(&format!("emr_serverless_spark_{series} ")))?;
    Some(line.parse().unwrap())
}

const LATE: &str = "livy_cu_seconds_total{workspace_id=\"w-1\",livy_compute_id=\"lc-1\",queue=\"late\"}";
const FIRST: &str = "livy_cu_seconds_total{workspace_id=\"w-1\",livy_compute_id=\"lc-1\",queue=\"first\"}";

#[tokio::test]
async fn a_late_series_is_shown_at_zero_for_the_hold_and_released_in_the_ledger_first() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = ledger(directory.path());
    let exposition = exposition(120);
    sweep(&ledger, 10_000, vec![session("s1", "first", 1_000_000_000)]).await;
    sweep(&ledger, 20_000, vec![session("s2", "late", 2_000_000_000)]).await;
    exposition.update(|board| board.set_ledger(ledger.snapshot()));

    let shown = page(&exposition, 20_000);
    assert_eq!((value(&shown, FIRST), value(&shown, LATE)), (Some(3_600.0), Some(0.0)));
    let rendered = exposition.render(139_999);
    assert_eq!((rendered.next_change, rendered.released), (Some(140_000), vec![]));
    // The hold is over, yet zero is shown until the release is in the ledger.
    let rendered = exposition.render(140_000);
    assert_eq!(value(&text(&rendered), LATE), Some(0.0));
    assert_eq!(rendered.released.len(), 1);
    ledger.release(rendered.released).await.unwrap();
    exposition.update(|board| board.set_ledger(ledger.snapshot()));
    assert_eq!(value(&page(&exposition, 140_001), LATE), Some(7_200.0));
}

#[tokio::test]
async fn counters_are_absent_before_the_baseline_and_stay_when_gauges_go_stale() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = ledger(directory.path());
    let exposition = exposition(0);
    let found = Discovered { gateway: gateway(), created: None, watched_since: 0 };
    let pass = ledger.begin_pass(found, 10_000).await.unwrap();
    ledger.apply_sessions(pass, vec![session("s1", "first", 1_000_000_000)]).await.unwrap();
    exposition.update(|board| board.set_ledger(ledger.snapshot()));
    assert_eq!(value(&page(&exposition, 10_000), FIRST), None);

    ledger.complete_pass(pass, None, 11_000).await.unwrap();
    let counts = [("first", SessionState::Running, 1)].into_iter().collect();
    let view = SessionsView::new(&gateway(), counts, &[&session("s1", "first", 1_000_000_000)]);
    exposition.update(|board| {
        board.set_ledger(ledger.snapshot());
        board.set_sessions(gateway(), 11_000, view);
    });
    let running =
        "livy_sessions{workspace_id=\"w-1\",livy_compute_id=\"lc-1\",queue=\"first\",state=\"running\"}";
    let rendered = exposition.render(11_000);
    assert_eq!(rendered.next_change, Some(611_000), "the page changes when the gauges get too old");
    assert_eq!(value(&page(&exposition, 610_999), running), Some(1.0));
    let stale = page(&exposition, 611_000);
    assert_eq!((value(&stale, running), value(&stale, FIRST)), (None, Some(3_600.0)));
}

#[tokio::test]
async fn what_a_complete_list_no_longer_has_leaves_the_page_and_comes_back_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = ledger(directory.path());
    let exposition = exposition(0);
    sweep(&ledger, 10_000, vec![session("s1", "first", 1_000_000_000)]).await;
    exposition.update(|board| board.set_ledger(ledger.snapshot()));
    let shown = |now| value(&page(&exposition, now), FIRST);
    assert_eq!(shown(10_000), Some(3_600.0), "before any list, the ledger is what is known");

    let listed = GatewayObservation {
        livy_compute_id: "lc-1".into(),
        name: "g".into(),
        state: GatewayState::Running,
        queue: "first".into(),
        created_by: String::new(),
        created: None,
        started: None,
    };
    exposition.update(|board| board.set_gateways(workspace(), 10_000, vec![]));
    assert_eq!(shown(10_000), None);
    exposition.update(|board| board.set_gateways(workspace(), 10_000, vec![listed]));
    assert_eq!(shown(10_000), Some(3_600.0));
    exposition.update(|board| board.set_workspaces(&scope(), 10_000, vec![]));
    assert_eq!(shown(10_000), None);
    let row = WorkspaceObservation {
        tags: Vec::new(),
        workspace_id: "w-1".into(),
        name: String::new(),
        status: String::new(),
        payment_type: String::new(),
        created: None,
    };
    exposition.update(|board| board.set_workspaces(&scope(), 10_000, vec![row]));
    assert_eq!(shown(10_000), Some(3_600.0));
}

#[tokio::test]
async fn a_state_set_has_one_state_and_changes_begin_at_zero() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = ledger(directory.path());
    let exposition = exposition(0);
    let cluster = ClusterObservation {
        session_cluster_id: "sc-1".into(),
        name: "adhoc".into(),
        kind: ClusterKind::Sql,
        state: ClusterState::Error,
        reason_code: "E42".into(),
        queue: "dev_queue".into(),
        release_version: "esr-4".into(),
        fusion: true,
        user_name: "u".into(),
        created: Some(1_732_267_598_000),
        started: None,
        auto_start: Some(true),
        auto_stop_timeout_seconds: Some(2_700),
        public_endpoint: Some(false),
    };
    let seen = vec![("sc-1".to_owned(), ClusterKind::Sql, ClusterState::Error)];
    let swept = ClusterSweep { workspace: workspace(), seen, complete: true, at: 1_000 };
    ledger.apply_clusters(swept).await.unwrap();
    exposition.update(|board| {
        board.set_ledger(ledger.snapshot());
        board.set_clusters(workspace(), 1_000, vec![cluster]);
    });
    let page = page(&exposition, 1_000);
    let of = |name: &str, rest: &str| {
        value(&page, &format!("{name}{{workspace_id=\"w-1\",session_cluster_id=\"sc-1\"{rest}}}"))
    };
    let states: Vec<f64> = ClusterState::ALL
        .iter()
        .map(|state| of("session_cluster_state", &format!(",state=\"{state}\"")).unwrap())
        .collect();
    assert_eq!(states, [0.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
    assert_eq!(of("session_cluster_failure_info", ",code=\"E42\""), Some(1.0));
    assert_eq!(of("session_cluster_created_timestamp_seconds", ""), Some(1_732_267_598.0));
    assert_eq!(of("session_cluster_start_timestamp_seconds", ""), None);
    assert_eq!(of("session_cluster_auto_stop_timeout_seconds", ""), Some(2_700.0));
    assert_eq!(of("session_cluster_public_endpoint_enabled", ""), Some(0.0));
    let changes = "session_cluster_state_changes_total{workspace_id=\"w-1\",kind=\"SQL\",state=\"Error\"}";
    assert_eq!(value(&page, changes), Some(0.0));
}

#[test]
fn every_family_has_help_that_a_stranger_can_use() {
    let own = OwnMetrics::new(["cuHours"].into_iter(), &[]).unwrap();
    let own: Vec<(String, String)> = own.catalogue().into_iter().map(|f| (f.name, f.help)).collect();
    let rendered = catalogue().into_iter().map(|family| (family.name(), family.help.to_owned()));
    for (name, help) in rendered.chain(own) {
        assert!(help.len() > 20 && help.ends_with('.') || name.starts_with("process_"), "{name}: {help}");
        if name.contains("_seconds") && !name.contains("timestamp") {
            assert!(help.to_lowercase().contains("second"), "{name}: {help}");
        }
    }
}

#[tokio::test]
async fn a_workspace_that_two_accounts_have_counted_is_shown_of_the_one_that_lists_it() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = ledger(directory.path());
    let other = ScopeId { account: "b".into(), region: "cn-hangzhou".into() };
    let of_other = WorkspaceId { account: "b".into(), ..workspace() };
    let gateway_of_other = GatewayId { workspace: of_other.clone(), ..gateway() };
    sweep(&ledger, 10_000, vec![session("s1", "first", 1_000_000_000)]).await;
    sweep_of(&ledger, gateway_of_other, 20_000, vec![session("s1", "first", 2_000_000_000)]).await;
    let settings = config::Exposition {
        zero_hold: Duration::ZERO,
        stale_after: Duration::from_secs(600),
        created_timestamps: false,
    };
    let started = || {
        let exposition = Exposition::new(settings, config::Pricing::default(), vec![scope(), other.clone()]);
        exposition.update(|board| board.set_ledger(ledger.snapshot()));
        exposition
    };
    let row = |id: &str| vec![WorkspaceObservation::unlisted(id)];
    let shown = |exposition: &Exposition| {
        let page = page(exposition, 30_000);
        assert!(page.lines().filter(|line| line.contains("livy_cu_seconds_total{")).count() <= 1, "{page}");
        value(&page, FIRST)
    };

    let exposition = started();
    assert_eq!(shown(&exposition), None, "whose it is is not known");
    exposition.update(|board| board.set_workspaces(&scope(), 30_000, row("w-2")));
    assert_eq!(shown(&exposition), Some(7_200.0), "the first has it no more");
    exposition.update(|board| board.set_workspaces(&other, 30_000, row("w-3")));
    assert_eq!(shown(&exposition), None, "nor has the other");

    // While it passes from one to the other, both have it for a moment: of gauges, too, one is shown.
    let exposition = started();
    exposition.update(|board| board.set_workspaces(&other, 30_000, row("w-1")));
    assert_eq!(shown(&exposition), Some(7_200.0));
    let gateways = |created_by: &str| GatewayObservation {
        livy_compute_id: "lc-1".into(),
        name: "g".into(),
        state: GatewayState::Running,
        queue: "first".into(),
        created_by: created_by.into(),
        created: None,
        started: None,
    };
    exposition.update(|board| board.set_gateways(workspace(), 30_000, vec![gateways("one")]));
    exposition.update(|board| board.set_gateways(of_other, 30_000, vec![gateways("two")]));
    for (owner, lists) in [("two", None), ("one", Some("w-1")), ("two", Some("w-2"))] {
        if let Some(id) = lists {
            exposition.update(|board| board.set_workspaces(&scope(), 30_000, row(id)));
        }
        let page = page(&exposition, 30_000);
        let infos: Vec<_> = page.lines().filter(|line| line.contains("livy_gateway_info{")).collect();
        assert!(infos.len() == 1 && infos[0].contains(&format!("created_by=\"{owner}\"")), "{infos:?}");
        assert!(page.lines().filter(|line| line.contains("spark_workspace_info{")).count() <= 2, "{page}");
    }
}

#[tokio::test]
async fn each_queue_has_its_price_from_the_day_that_it_holds() {
    const NEW_YEAR: UnixMillis = 1_767_196_800_000; // 2026-01-01T00:00:00+08:00
    let directory = tempfile::tempdir().unwrap();
    let ledger = ledger(directory.path());
    let sessions = vec![session("s1", "first", 1), session("s2", "second", 1)];
    sweep(&ledger, 10_000, sessions).await;
    let file = directory.path().join("e.yaml");
    let yaml = "accounts: [{regions: [cn-hangzhou, cn-beijing]}]\n\
                pricing:\n  default: 1\n  monthly_budget: 9\n  by:\n    - {region: cn-beijing, price: 2}\n    \
                - {queue: second, from: 2026-01-01, price: 3}\n";
    std::fs::write(&file, yaml).unwrap();
    let request = config::LoadRequest { file: Some(&file), environment: [], overrides: Vec::new() };
    let pricing = config::load(request).unwrap().pricing;
    let beijing = ScopeId { account: "a".into(), region: "cn-beijing".into() };
    let settings = config::Exposition {
        zero_hold: Duration::ZERO,
        stale_after: Duration::from_secs(600),
        created_timestamps: false,
    };
    let exposition = Exposition::new(settings, pricing, vec![scope(), beijing.clone()]);
    exposition.update(|board| board.set_ledger(ledger.snapshot()));
    let price = |now, queue: &str| {
        let page = page(&exposition, now);
        assert_eq!(value(&page, "livy_monthly_budget{currency=\"CNY\"}"), Some(9.0));
        let name = "livy_price_per_cu_hour";
        value(&page, &format!("{name}{{workspace_id=\"w-1\",queue=\"{queue}\",currency=\"CNY\"}}"))
    };
    assert_eq!(price(20_000, "first"), None, "in which of the regions it is, is not known yet");
    exposition
        .update(|board| board.set_workspaces(&beijing, 20_000, vec![WorkspaceObservation::unlisted("w-1")]));
    assert_eq!((price(20_000, "first"), price(20_000, "second")), (Some(2.0), Some(2.0)));
    assert_eq!((price(NEW_YEAR, "first"), price(NEW_YEAR, "second")), (Some(2.0), Some(3.0)));
    assert_eq!(exposition.render(NEW_YEAR - 1).next_change, Some(NEW_YEAR), "it is rendered again in time");
}

#[test]
fn who_reads_the_board_holds_up_nobody_who_has_something_to_add() {
    let settings = config::Exposition {
        zero_hold: Duration::ZERO,
        stale_after: Duration::from_secs(600),
        created_timestamps: false,
    };
    let exposition = Exposition::new(settings, config::Pricing::default(), vec![scope()]);
    let (added, is_added) = std::sync::mpsc::channel();
    std::thread::scope(|threads| {
        exposition.view(0, |view| {
            threads.spawn(|| {
                exposition.update(|board| board.set_workspaces(&scope(), 0, Vec::new()));
                added.send(()).unwrap();
            });
            is_added.recv_timeout(Duration::from_secs(60)).unwrap();
            assert_eq!(view.workspaces().count(), 0, "what is read stays as it was");
        });
    });
}
