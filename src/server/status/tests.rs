//! The page: what comes first, what is left out, and that nothing gets out of its place.

use super::*;

const HOSTILE: &str = "<script>alert('x')</script>\"&";
/// 2026-01-12T10:20:40Z
const NOW: UnixMillis = 1_768_213_240_000;

fn target(name: &str, reason: Option<FailureReason>) -> TargetRow {
    let failure = |reason| FailureRow {
        code: Some(name.into()),
        request_id: Some(name.into()),
        ..FailureRow::new(NOW - 60_000, reason, format!("GET: {name}"))
    };
    TargetRow {
        kind: "livy_sessions",
        place: place(name),
        region: name.into(),
        last_success: Some(NOW - 120_000),
        last_duration_seconds: Some(1.5),
        progress: Some(0.25),
        failing_since: reason.map(|_| NOW - 60_000),
        last_failure: reason.map(failure),
    }
}

fn place(name: &str) -> Place {
    Place {
        account: name.into(),
        workspace_id: name.into(),
        workspace_name: name.into(),
        livy_compute_id: name.into(),
        livy_gateway_name: name.into(),
    }
}

/// A status in which all that comes from elsewhere is this text.
pub(in crate::server) fn sample(name: &str, targets: Vec<TargetRow>) -> Status {
    let consumer = |queue: Option<&str>| ConsumerRow {
        place: place(name),
        queue: queue.map(str::to_owned),
        cu_seconds: 3_600.0,
    };
    let session = SessionRow {
        place: place(name),
        session_id: name.into(),
        name: name.into(),
        queue: name.into(),
        state: "running",
        cu_seconds: 36.0,
    };
    let cluster = ClusterRow {
        place: place(name),
        session_cluster_id: name.into(),
        name: name.into(),
        kind: "SQL",
        code: name.into(),
    };
    let keys = |account: &str, held, expires| CredentialsRow { account: account.into(), held, expires };
    Status {
        api_version: API_VERSION,
        version: "1.2.3",
        stage: Stage::Ready,
        as_of: NOW,
        started: NOW - 7_200_000,
        config: ConfigStatus {
            loaded: NOW - 60_000,
            refused: Some(name.into()),
            awaiting_restart: vec!["ledger.path"],
        },
        watched: Watched { session_clusters: 7, session_clusters_failed: 1, ..Watched::default() },
        ledger: LedgerRow { sessions: 1_234, size_bytes: 2_048, ..LedgerRow::default() },
        credentials: vec![
            keys(name, true, None),
            keys("expiring", true, Some(NOW + 3_600_000)),
            keys("expired", true, Some(NOW - 1)),
            keys("keyless", false, None),
        ],
        consumers: Consumers {
            cu_seconds: 3_600.0,
            gateways: vec![consumer(None)],
            gateways_total: 1,
            queues: vec![consumer(Some(name))],
            queues_total: 1,
            sessions: vec![session],
        },
        failed_clusters: vec![cluster],
        targets,
    }
}

pub(in crate::server) fn hostile() -> Status {
    sample(HOSTILE, vec![target(HOSTILE, Some(FailureReason::Denied))])
}

fn shown(status: &Status) -> String {
    render(status, "/metrics").to_string()
}

#[test]
fn every_text_from_elsewhere_is_escaped() {
    let page = shown(&hostile());
    let escaped = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;";
    assert!(!page.contains("<script"), "{page}");
    assert!(page.matches(escaped).count() > 20, "{page}");
    assert!(page.contains("queue=%3Cscript%3Ealert"), "{page}");
    // As many elements as with harmless texts, and as many quotes.
    let harmless = shown(&sample("name", vec![target("name", Some(FailureReason::Denied))]));
    for part in ["<", ">", "\"", "'"] {
        assert_eq!(page.matches(part).count(), harmless.matches(part).count(), "{part}");
    }
}

#[test]
fn it_tells_what_fails_and_what_to_do() {
    let page = shown(&sample("n", vec![target("n", Some(FailureReason::Denied)), target("n", None)]));
    for text in [
        "<dt>Targets failing</dt><dd>1 <small>of 2</small>",
        "Add the operation that the message names to the policy",
        "href=\"/-/docs/troubleshooting#denied\"",
        "request id <code>n</code>",
        "sweeping, 25 %",
        ">60 s ago</time>",
        ">2 min ago</time>",
        ">1.5 s<",
        "<dd>2.0 KiB</dd>",
        "none since the start",
        "none: ledger.backup_interval is off",
        "up for 2 h",
        "do not expire",
        "expire <time",
        "<span class=\"pill bad\">expired</span>",
        "none yet",
        "7 <small>1 in Error</small>",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
}

#[test]
fn with_many_targets_it_is_short_and_begins_with_those_that_fail() {
    let mut targets: Vec<TargetRow> = (0..2_000).map(|n| target(&format!("fine-{n}"), None)).collect();
    targets.extend((0..500).map(|n| target(&format!("bad-{n}"), Some(FailureReason::Timeout))));
    targets.push(target("worse", Some(FailureReason::Ledger)));
    let page = shown(&sample("n", targets));
    assert_eq!(page.matches("<tr role=\"row\"><th role=\"rowheader\"").count(), 100);
    assert_eq!(page.matches("GET: bad-").count(), 10);
    assert!(page.contains("and 490 more") && page.contains("100 of 2,501 targets"), "{page}");
    let at = |text: &str| page.find(text).unwrap_or(usize::MAX);
    assert!(at("<code class=\"bad\">timeout") < at("<code class=\"bad\">ledger"));
    assert!(!page.contains("fine-0"), "the table has room for those that fail alone");
    assert!(page.len() < 200_000, "{}", page.len());
}

#[test]
fn before_anything_is_known_it_says_so() {
    let empty = Status {
        stage: Stage::Starting { waiting: 1 },
        consumers: Consumers::default(),
        failed_clusters: Vec::new(),
        ..sample("n", Vec::new())
    };
    let page = shown(&empty);
    assert!(
        page.contains("Nothing is watched yet.") && page.contains("1 target still without a first sweep")
    );
    assert!(!page.contains("Top gateways") && !page.contains("What fails"), "{page}");
}

#[test]
fn every_reason_has_words_of_its_own() {
    let mut seen = std::collections::BTreeSet::new();
    for reason in FailureReason::ALL {
        let Advice { means, what_to_do } = advice(*reason);
        assert!(means.ends_with('.') && what_to_do.ends_with('.'), "{reason}");
        assert!(seen.insert(means), "{reason}");
    }
}

#[test]
fn programs_get_the_same_as_json() {
    let json: serde_json::Value = serde_json::from_slice(&json(&hostile()).unwrap()).unwrap();
    assert_eq!((&json["api_version"], &json["stage"]), (&1.into(), &"ready".into()));
    let target = &json["targets"][0];
    assert_eq!((&target["target"], &target["progress"]), (&"livy_sessions".into(), &0.25.into()));
    assert_eq!(target["failing_since"], "2026-01-12T10:19:40Z");
    assert_eq!(target["workspace_name"], HOSTILE);
    let failure = &target["last_failure"];
    assert_eq!((&failure["reason"], &failure["code"]), (&"denied".into(), &HOSTILE.into()));
    assert_eq!(failure["documentation"], "/-/docs/troubleshooting#denied");
    assert_eq!(failure["means"], advice(FailureReason::Denied).means);
}
