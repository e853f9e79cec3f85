//! The page: what comes first, what is left out, and that nothing gets out of its place.

use super::*;

const HOSTILE: &str = "<script>alert('x')</script>\"&";
/// 2026-01-12T10:20:40Z
const NOW: UnixMillis = 1_768_213_240_000;
const MINUTE: i64 = 60_000;

fn target(name: &str, reason: Option<FailureReason>) -> TargetRow {
    TargetRow {
        kind: "livy_sessions",
        place: place(name),
        region: name.into(),
        last_success: Some(NOW - 2 * MINUTE),
        last_duration_seconds: Some(1.5),
        progress: Some(0.25),
        failing_since: reason.map(|_| NOW - MINUTE),
        last_failure: reason.map(|reason| failure(name, reason)),
    }
}

fn failure(name: &str, reason: FailureReason) -> FailureRow {
    FailureRow {
        code: Some(name.into()),
        request_id: Some(name.into()),
        ..FailureRow::new(NOW - MINUTE, reason, format!("GET {name}: {name}, request id {name}"))
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
    let keys = |account: &str, held, temporary, expires| CredentialsRow {
        account: account.into(),
        held,
        temporary,
        expires,
    };
    Status {
        api_version: API_VERSION,
        version: "1.2.3",
        stage: Stage::Ready,
        waiting: 0,
        as_of: NOW,
        started: NOW - 120 * MINUTE,
        config: ConfigStatus {
            loaded: NOW - 5 * MINUTE,
            refused: Some(name.into()),
            awaiting_restart: vec!["ledger.path"],
        },
        watched: watched(name),
        ledger: LedgerRow {
            sessions: 1_234,
            size_bytes: 2_048,
            backups_enabled: true,
            backups_failing_since: Some(NOW - 3 * MINUTE),
            backup_error: Some(name.into()),
            ..LedgerRow::default()
        },
        credentials: vec![
            keys(name, true, false, None),
            keys("expiring", true, true, Some(NOW + 60 * MINUTE)),
            keys("expired", true, true, Some(NOW - 1)),
            keys("temporary", true, true, None),
            keys("keyless", false, false, None),
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

/// Two accounts in one region, with session clusters as of 14 minutes ago and the rest unknown or not polled.
fn watched(name: &str) -> Watched {
    let scope = |account: &str| ScopeRow { account: account.into(), region: name.into() };
    let polled = ListState { enabled: true, ..ListState::default() };
    let old = ListState { complete: 2, missing: 1, stale: 2, as_of: Some(NOW - 14 * MINUTE), ..polled };
    Watched {
        scopes: vec![scope(name), scope("another")],
        session_clusters: Some(7),
        session_clusters_failed: Some(1),
        lists: Lists { session_clusters: old, livy_gateways: polled, ..Lists::default() },
        ..Watched::default()
    }
}

pub(in crate::server) fn hostile() -> Status {
    let again = TargetRow { failing_since: None, ..target(HOSTILE, Some(FailureReason::Timeout)) };
    sample(HOSTILE, vec![target(HOSTILE, Some(FailureReason::Denied)), again])
}

fn shown(status: &Status) -> String {
    render(status, "/metrics").to_string()
}

#[track_caller]
fn assert_has(page: &str, texts: &[&str]) {
    for text in texts {
        assert!(page.contains(text), "{text}: {page}");
    }
}

#[test]
fn every_text_from_elsewhere_is_escaped() {
    let page = shown(&hostile());
    let escaped = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;";
    assert!(!page.contains("<script"), "{page}");
    assert!(page.matches(escaped).count() > 20, "{page}");
    assert!(page.contains("queue=%3Cscript%3Ealert"), "{page}");
    // As many elements as with harmless texts, and as many quotes.
    let again = TargetRow { failing_since: None, ..target("name", Some(FailureReason::Timeout)) };
    let harmless = shown(&sample("name", vec![target("name", Some(FailureReason::Denied)), again]));
    for part in ["<", ">", "\"", "'"] {
        assert_eq!(page.matches(part).count(), harmless.matches(part).count(), "{part}");
    }
}

#[test]
fn it_tells_what_fails_and_what_to_do() {
    let page = shown(&sample("n", vec![target("n", Some(FailureReason::Denied)), target("n", None)]));
    assert_has(
        &page,
        &[
            "<span class=\"pill ok\">ready</span> <a class=\"pill bad\" href=\"#failing\">1 failing</a>",
            "<dt>Targets failing</dt><dd>1 <small>of 2</small>",
            "Add the operation that the message names to the policy",
            "href=\"/-/docs/troubleshooting#denied\"",
            "; code <code>n</code>; request id <code>n</code>",
            "sweeping, 25 %",
            ">60 s ago</time>",
            ">2 min ago</time>",
            ">1.5 s<",
            "settings read <time",
            ">5 min ago</time>, as of",
            "do not expire",
            "temporary, expiry unknown",
            "expire <time",
            "<span class=\"pill bad\">expired</span>",
            "none yet",
        ],
    );
    let calm = shown(&sample("n", vec![target("n", None)]));
    assert!(!calm.contains("href=\"#failing\""), "{calm}");
}

#[test]
fn what_is_old_is_told_with_its_age_and_what_is_not_known_is_no_number() {
    let page = shown(&sample("r", vec![target("n", None)]));
    assert_has(
        &page,
        &[
            "<dt>Session clusters</dt><dd>7 <small>1 in Error, without 1 list, <span class=\"old\">as of <time",
            ">14 min ago</time></span></small>",
            "<dt>Livy gateways</dt><dd>– <small>not known yet</small>",
            "<dt>Active Livy sessions</dt><dd>– <small>not watched</small>",
        ],
    );
    let mut part = sample("r", Vec::new());
    part.watched.lists.session_clusters.stale = 1;
    assert_has(&shown(&part), &["<span class=\"old\">in part as of <time"]);
}

#[test]
fn regions_and_accounts_are_counted_once_and_named() {
    let mut status = sample("r", vec![target("n", None)]);
    status.watched.workspaces = Some(3);
    assert_has(&shown(&status), &["<dt>Workspaces</dt><dd>3 <small>in r of 2 accounts</small>"]);
    assert_has(&shown(&status), &["<bdi>r</bdi><small> r</small>"]);
    status.watched.scopes =
        ["a", "b", "c"].map(|region| ScopeRow { account: "one".into(), region: region.into() }).into();
    assert_has(&shown(&status), &["<small>in 3 regions</small>"]);
    // One account in one region needs no name beside each place.
    status.watched.scopes.truncate(1);
    let page = shown(&sample("r", vec![target("n", None)]));
    assert!(page.matches("<span class=\"soft\"><bdi>").count() > 0, "{page}");
    let page = shown(&status);
    assert_eq!(page.matches("<span class=\"soft\"><bdi>").count(), 0, "{page}");
    assert_has(&page, &["<small>in a</small>"]);
}

#[test]
fn backups_that_fail_alarm_and_say_why() {
    let mut status = sample("the disk is full", Vec::new());
    let page = shown(&status);
    assert_has(
        &page,
        &[
            "<div class=\"tile alarm\"><dt>Ledger sessions</dt><dd>1,234 <small>backups fail</small>",
            ">3 min ago</time>: the disk is full</span>",
        ],
    );
    (status.ledger.backups_failing_since, status.ledger.backup_error) = (None, None);
    assert_has(&shown(&status), &["<div class=\"tile\"><dt>Ledger sessions</dt><dd>1,234 <small>2.0 KiB"]);
}

#[test]
fn the_last_failure_of_what_works_again_is_told() {
    let again = TargetRow { failing_since: None, ..target("n", Some(FailureReason::Timeout)) };
    let page = shown(&sample("n", vec![again]));
    assert_has(
        &page,
        &[
            "<span class=\"pill ok\">ok</span><details><summary><small>last failure <time",
            ">60 s ago</time>: timeout</small></summary><p class=\"message\">GET n: n, request id n</p>",
            "href=\"/-/docs/troubleshooting#timeout\">About timeout</a>; code <code>n</code>; request id <code>n</code>",
        ],
    );
    assert!(!page.contains("What fails"), "{page}");
}

#[test]
fn ids_are_unique_whatever_the_reasons_are() {
    let targets = FailureReason::ALL.iter().map(|reason| target("n", Some(*reason))).collect();
    let page = shown(&sample("n", targets));
    let mut seen = std::collections::BTreeSet::new();
    for id in page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(seen.insert(id), "{id} twice: {page}");
    }
    assert!(seen.contains("reason-ledger") && seen.contains("ledger"), "{seen:?}");
    for link in page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(seen.contains(link), "nothing is at {link}");
    }
}

#[test]
fn a_message_is_said_once_however_many_it_is_true_of() {
    let mut targets: Vec<TargetRow> =
        (0..12).map(|n| target(&format!("lc-{n}"), Some(FailureReason::ServerError))).collect();
    for (n, target) in targets.iter_mut().enumerate() {
        if let Some(failure) = &mut target.last_failure {
            failure.message = format!("ListLivyComputeSessions lc-{n} lc-{n}: HTTP 500, request id lc-{n}");
        }
    }
    let page = shown(&sample("n", targets));
    assert_eq!(page.matches("ListLivyComputeSessions …: HTTP 500</p>").count(), 1, "{page}");
    assert_has(&page, &["<details><summary>7 more</summary>", "and 2 more"]);
    // Three lines, then the fold.
    let open = page.split("<details><summary>7").next().unwrap_or_default();
    assert_eq!(open.matches("<li><span class=\"name\">Livy sessions").count(), 3, "{page}");
}

#[test]
fn targets_are_by_place_with_the_healthy_folded() {
    let of = |workspace: &str, gateway: &str, age: i64, reason| TargetRow {
        place: Place { workspace_id: workspace.into(), ..place(gateway) },
        last_success: Some(NOW - age),
        ..target(gateway, reason)
    };
    let of = |workspace: &str, gateway: &str, age, reason| {
        let mut row = of(workspace, gateway, age, reason);
        (row.place.account, row.place.workspace_name) = ("a".into(), workspace.into());
        (row.region, row.progress) = ("r".into(), None);
        row
    };
    let list = |targets| {
        let page = shown(&sample("n", targets));
        page.split("<div class=\"groups\">").nth(1).unwrap().split("</section>").next().unwrap().to_owned()
    };
    let rows = |young, old| {
        vec![
            of("w-2", "g-3", young, None),
            of("w-1", "g-2", old, None),
            of("w-1", "g-1", young, None),
            of("w-3", "g-4", old, Some(FailureReason::Timeout)),
        ]
    };
    let before = list(rows(1_000, 90_000));
    let order = ["w-1", "g-1", "g-2", "w-2", "g-3", "w-3", "g-4"].map(|name| before.find(name).unwrap());
    assert!(order.is_sorted(), "{before}");
    assert_eq!(before.matches("<details class=\"group\">").count(), 2, "{before}");
    assert_eq!(before.matches("<details class=\"group\" open>").count(), 1, "{before}");
    assert!(before.contains("<small>oldest success <time") && before.contains("2 ok</span>"), "{before}");
    // Other ages move nothing.
    let places =
        |list: &str| -> Vec<String> { list.split("<bdi>").map(|part| part[..3].to_owned()).collect() };
    assert_eq!(places(&before), places(&list(rows(90_000, 1_000))));
}

#[test]
fn with_many_targets_it_is_short_and_has_room_for_those_that_fail() {
    let mut targets: Vec<TargetRow> = (0..2_000).map(|n| target(&format!("fine-{n}"), None)).collect();
    targets.extend((0..500).map(|n| target(&format!("bad-{n}"), Some(FailureReason::Timeout))));
    targets.push(target("worse", Some(FailureReason::Ledger)));
    let page = shown(&sample("n", targets));
    assert_eq!(page.matches("<tr role=\"row\"><th role=\"rowheader\"").count(), 200);
    assert!(page.contains("and 490 more") && page.contains("200 of 2,501 targets"), "{page}");
    let at = |text: &str| page.find(text).unwrap_or(usize::MAX);
    assert!(at("<code class=\"bad\">timeout") < at("<code class=\"bad\">ledger"));
    assert!(!page.contains("fine-0"), "the list has room for those that fail alone");
    assert_eq!(page.matches("class=\"group\" open").count(), 5, "what fails is said above");
    assert!(page.len() < 300_000, "{}", page.len());
}

#[test]
fn before_anything_is_known_it_says_so() {
    let empty = Status {
        stage: Stage::Starting { waiting: 1 },
        waiting: 1,
        consumers: Consumers::default(),
        failed_clusters: Vec::new(),
        ..sample("n", Vec::new())
    };
    let page = shown(&empty);
    assert!(
        page.contains("Nothing is watched yet.") && page.contains("1 target still without a first sweep")
    );
    assert!(!page.contains("Top gateways") && !page.contains("What fails"), "{page}");
    let mut none = sample("n", vec![target("n", None)]);
    assert!(!shown(&none).contains("none is watched"));
    none.watched.workspaces = Some(0);
    assert!(shown(&none).contains("Workspaces were listed, and none is watched"));
    let never = TargetRow { last_success: None, ..target("n", Some(FailureReason::Denied)) };
    let page = shown(&sample("n", vec![never]));
    assert_eq!(
        page.matches("not since the start").count(),
        2,
        "what was before a restart is not known: {page}"
    );
}

#[test]
fn a_queue_is_named_and_linked_in_one_way() {
    let long = "q".repeat(100);
    for (queue, shown_as) in [("", "(no queue)"), (long.as_str(), &*format!("{}…", &long[..64]))] {
        let mut status = sample("n", Vec::new());
        status.consumers.queues[0].queue = Some(queue.into());
        status.consumers.sessions[0].queue = queue.into();
        let page = shown(&status);
        let link = format!("&amp;queue={queue}&amp;format=html\"><bdi>{shown_as}</bdi></a>");
        assert_eq!(page.matches(&link).count(), 2, "{link}: {page}");
    }
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
    let watched = &json["watched"];
    assert_eq!((&watched["workspaces"], &watched["session_clusters"]), (&serde_json::Value::Null, &7.into()));
    assert_eq!(watched["lists"]["session_clusters"]["as_of"], "2026-01-12T10:06:40Z");
    assert_eq!(watched["lists"]["session_clusters"]["stale"], 2);
    assert_eq!(json["ledger"]["backups_failing_since"], "2026-01-12T10:17:40Z");
    assert_eq!((&json["ledger"]["backup_error"], &json["waiting"]), (&HOSTILE.into(), &0.into()));
    assert_eq!(json["credentials"][3]["temporary"], true);
}
