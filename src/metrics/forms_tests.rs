//! The forms of a page agree, sample for sample, whatever is on the board and in the ledger.

use std::io::Read;

use bytes::Bytes;
use flate2::read::GzDecoder;
use proptest::prelude::*;

use super::tests::{gateway, ledger, scope, workspace};
use super::{Exposition, Gzip, Memory, OwnMetrics, ProcessFigures, Scrape, SessionsView};
use crate::config;
use crate::ledger::{ClusterSweep, Discovered};
use crate::model::{
    ClusterKind, ClusterObservation, ClusterState, Format, GatewayObservation, GatewayState, SessionCounts,
    SessionObservation, SessionState, Usage,
};

/// A session: what its id ends in, queue, state, how long it ran, and its figures.
type Drawn = (String, String, usize, i64, (i64, i64, i64));

fn session(number: usize, (id, queue, state, ran, figures): &Drawn) -> SessionObservation {
    let state = SessionState::ALL[state % SessionState::ALL.len()];
    let (nano_cu_hours, vcore_seconds, mb_seconds) = *figures;
    SessionObservation {
        session_id: format!("{number}{id}"),
        name: id.clone(),
        queue: queue.clone(),
        state,
        created: Some(10_000),
        ended: state.is_ended().then_some(10_000 + ran),
        usage: Usage { nano_cu_hours, vcore_seconds, mb_seconds }.into(),
    }
}

fn cluster(number: usize, name: &str, state: usize) -> ClusterObservation {
    ClusterObservation {
        session_cluster_id: format!("sc-{number}"),
        name: name.to_owned(),
        kind: ClusterKind::Sql,
        state: ClusterState::ALL[state % ClusterState::ALL.len()],
        reason_code: name.to_owned(),
        queue: name.to_owned(),
        release_version: String::new(),
        fusion: state.is_multiple_of(2),
        user_name: name.to_owned(),
        created: Some(1_500),
        started: None,
        auto_start: Some(true),
        auto_stop_timeout_seconds: Some(60),
        public_endpoint: None,
    }
}

/// A board and a ledger with these, rendered.
fn rendered(sessions: &[Drawn], clusters: &[(String, usize)], created_timestamps: bool) -> super::Body {
    let directory = tempfile::tempdir().unwrap();
    let ledger = ledger(directory.path());
    let settings = config::Exposition {
        zero_hold: std::time::Duration::ZERO,
        stale_after: std::time::Duration::from_secs(60),
        created_timestamps,
    };
    let exposition = Exposition::new(settings, config::Pricing::default(), vec![scope()]);
    let seen: Vec<SessionObservation> =
        sessions.iter().enumerate().map(|(number, drawn)| session(number, drawn)).collect();
    let clusters: Vec<ClusterObservation> =
        clusters.iter().enumerate().map(|(number, (name, state))| cluster(number, name, *state)).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        // Born under watch, so that the moment of its creation is known.
        let found = Discovered { gateway: gateway(), created: Some(5_000), watched_since: 0 };
        let pass = ledger.begin_pass(found, 20_000).await.unwrap();
        ledger.apply_sessions(pass, seen.clone()).await.unwrap();
        ledger.complete_pass(pass, None, 20_000).await.unwrap();
        for (at, state) in [(1_000, ClusterState::Starting), (31_000, ClusterState::Running)] {
            let seen = vec![("sc-0".to_owned(), ClusterKind::Sql, state)];
            let swept = ClusterSweep { workspace: workspace(), seen, complete: true, at };
            ledger.apply_clusters(swept).await.unwrap();
        }
    });
    exposition.update(|board| {
        board.set_ledger(ledger.snapshot());
        let active: Vec<&SessionObservation> = seen.iter().collect();
        let view = SessionsView::new(&gateway(), SessionCounts::default(), &active);
        board.set_sessions(gateway(), 20_000, view);
        board.set_clusters(workspace(), 20_000, clusters);
        let listed = GatewayObservation {
            livy_compute_id: gateway().livy_compute_id,
            name: String::new(),
            state: GatewayState::Running,
            queue: String::new(),
            created_by: String::new(),
            created: Some(5_000),
            started: None,
        };
        board.set_gateways(workspace(), 20_000, vec![listed]);
    });
    // What appears late is held at zero, and its exemplars with it.
    let released = exposition.render(20_000).released;
    runtime.block_on(ledger.release(released)).unwrap();
    exposition.update(|board| board.set_ledger(ledger.snapshot()));
    exposition.render(20_000).body
}

/// The samples of a page, without what only OpenMetrics can tell; and how often it told it.
fn samples(page: &str) -> (Vec<&str>, usize, usize) {
    let (mut samples, mut exemplars, mut created) = (Vec::new(), 0, 0);
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        // The labels may hold anything, but no quote that is not escaped.
        let mut in_quotes = false;
        let mut escaped = false;
        let end = line.char_indices().find(|(_, c)| {
            in_quotes ^= *c == '"' && !escaped;
            escaped = *c == '\\' && !escaped;
            *c == ' ' && !in_quotes
        });
        let (series, rest) = line.split_at(end.unwrap().0);
        let value = rest.split(" # ").next().unwrap();
        exemplars += usize::from(value.len() < rest.len());
        if series.split('{').next().unwrap().ends_with("_created") {
            created += 1;
        } else {
            samples.push(&line[..series.len() + value.len()]);
        }
    }
    (samples, exemplars, created)
}

fn unpacked(gzip: &Gzip) -> Vec<u8> {
    let mut plain = Vec::new();
    GzDecoder::new(gzip.with_end(&Bytes::new(), &Memory::default()).concat().as_slice())
        .read_to_end(&mut plain)
        .unwrap();
    plain
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let text = "[a-c\"\\\\\n{} #,=é]{0,6}";
    let figures = (0..i64::MAX / 1_000, 0..1_i64 << 53, 0..1_i64 << 53);
    (text, "[ab]", 0..6_usize, 0..1_000_000_000_i64, figures)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn all_forms_show_the_same_samples(
        sessions in prop::collection::vec(drawn(), 0..12),
        clusters in prop::collection::vec(("[a\"\\\\\n}]{0,4}", 0..6_usize), 0..5),
        created_timestamps: bool,
    ) {
        let before = rendered(&sessions[..sessions.len() / 2], &clusters, created_timestamps);
        let body = rendered(&sessions, &clusters, created_timestamps);
        let [text, open] = Format::ALL.map(|format| {
            // Large enough for several segments, of which those of the clusters stay.
            let parts = |body: &super::Body| vec![body.parts(format); 40].concat();
            let before = Gzip::new(parts(&before), None);
            let plain = parts(&body).concat();
            for before in [None, Some(&before)] {
                assert_eq!(unpacked(&Gzip::new(parts(&body), before)), plain, "compressed {format:?}");
            }
            String::from_utf8(body.parts(format).concat()).unwrap()
        });
        let (of_text, exemplars, created) = samples(&text);
        prop_assert_eq!((exemplars, created), (0, 0));
        let (of_open, exemplars, created) = samples(&open);
        prop_assert_eq!(of_text, of_open);
        prop_assert_eq!(created > 0, created_timestamps);
        let ended = sessions.iter().any(|(_, _, state, ..)| SessionState::ALL[*state].is_ended());
        prop_assert_eq!(exemplars > 0, ended);
    }
}

#[test]
fn the_exporter_s_own_metrics_are_the_same_in_both_formats() {
    let own = OwnMetrics::new(["cuHours"].into_iter(), &[scope()]).unwrap();
    let process = ProcessFigures { resident_bytes: Some(4096.0), ..ProcessFigures::default() };
    let scrape = Scrape {
        ledger_sessions: 1,
        ledger_bytes: 2,
        snapshot_age: std::time::Duration::from_millis(1_500),
        process,
    };
    let memory = Memory::default();
    let [text, open] =
        Format::ALL.map(|format| String::from_utf8(own.encode(format, &scrape, &memory).to_vec()).unwrap());
    assert!(open.ends_with("\n# EOF\n") && !text.contains("# EOF"));
    assert_eq!(samples(&text).0, samples(&open).0);
    for line in [
        "exporter_ledger_sessions 1",
        "exporter_snapshot_age_seconds 1.5",
        "process_resident_memory_bytes 4096",
    ] {
        assert!(text.contains(&format!("{line}\n")), "{line}");
    }
}
