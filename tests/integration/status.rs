//! `/api/v1/status` and `/api/v1/series`: what programs read of the exporter's state, and what a counter is made of.

use std::fs;

use emr_serverless_spark_exporter::clock::Clock;
use emr_serverless_spark_exporter::sim::{ClusterState, Fault, HistoryOrder, Operation, Scope, WorldConfig};
use serde_json::{Value, json};

use crate::golden::seeded_world;
use crate::harness::{Daemon, HOUR, Lab, MINUTE, Page, metric, wait_for, world};

const GOLDEN: &str = "tests/data/golden/status.json";

/// Hides what follows the machine or its clock, by the name of the field.
fn mask(value: &mut Value) {
    const VOLATILE: [&str; 9] = [
        "as_of",
        "started",
        "last_commit",
        "loaded",
        "last_backup",
        "last_success",
        "last_duration_seconds",
        "size_bytes",
        "version",
    ];
    match value {
        Value::Array(all) => all.iter_mut().for_each(mask),
        Value::Object(fields) => {
            for (name, value) in fields {
                if VOLATILE.contains(&name.as_str()) && !value.is_null() {
                    *value = "(masked)".into();
                }
                mask(value);
            }
        }
        _ => {}
    }
}

fn get(daemon: &Daemon, path: &str) -> (u16, Value) {
    let (status, body) = daemon.get(path);
    (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}")))
}

#[test]
fn the_status_of_a_seeded_world_is_as_it_was() {
    let lab = Lab::new(seeded_world());
    let mut settings = lab.settings().set("exposition.stale_after", "2days");
    for kind in ["workspaces", "session_clusters", "livy_gateways", "livy_sessions"] {
        settings = settings.set(&format!("collectors.{kind}.interval"), "24h");
    }
    let daemon = settings.start();
    daemon.until("one sweep of each target, and a backup", |page| {
        lab.truth().equals(page)?;
        let backup = metric("exporter_ledger_last_backup_timestamp_seconds").value_in(page);
        match (metric("exporter_sweep_success").sum_in(page), backup) {
            (7.0, Some(at)) if at > 0.0 => Ok(()),
            found => Err(format!("{found:?}")),
        }
    });
    let (status, mut found) = get(&daemon, "/api/v1/status");
    assert_eq!(status, 200);
    mask(&mut found);
    let found = format!("{found:#}\n");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(GOLDEN, &found).unwrap();
    }
    let golden = fs::read_to_string(GOLDEN).unwrap();
    for (number, (shown, expected)) in found.lines().zip(golden.lines()).enumerate() {
        assert_eq!(shown, expected, "line {} of {GOLDEN}; UPDATE_EXPECTED=1 takes it over", number + 1);
    }
    assert_eq!(found.lines().count(), golden.lines().count());

    // Every field is explained.
    let documentation = fs::read_to_string("docs/api.md").unwrap();
    let mut names = std::collections::BTreeSet::new();
    fields(&serde_json::from_str(&golden).unwrap(), &mut names);
    names
        .extend(["means", "what_to_do", "documentation", "code", "request_id", "message"].map(str::to_owned));
    for name in names {
        assert!(documentation.contains(&format!("`{name}`")), "{name} is not in docs/api.md");
    }
}

fn fields(value: &Value, names: &mut std::collections::BTreeSet<String>) {
    match value {
        Value::Array(all) => all.iter().for_each(|value| fields(value, names)),
        Value::Object(all) => all.iter().for_each(|(name, value)| {
            names.insert(name.clone());
            fields(value, names);
        }),
        _ => {}
    }
}

#[test]
fn in_an_outage_what_was_known_is_told_with_its_age() {
    const KINDS: [&str; 4] = ["workspaces", "session_clusters", "livy_gateways", "livy_sessions"];
    const COUNTS: [&str; 5] = [
        "workspaces",
        "session_clusters",
        "session_clusters_failed",
        "livy_gateways",
        "livy_sessions_active",
    ];
    let lab = Lab::new(world());
    let cluster = &lab.world().clusters(&lab.world().workspace_ids()[0])[0].id;
    lab.world().set_cluster_state(cluster, ClusterState::Error, "ResourceNotEnough");
    let daemon = lab.settings().set("exposition.stale_after", "10s").start();
    lab.settle(&daemon);
    let counts = |status: &Value| COUNTS.map(|name| status["watched"][name].clone());
    let (_, before) = get(&daemon, "/api/v1/status");
    assert!(counts(&before).iter().all(|count| count.as_u64().is_some_and(|count| count > 0)), "{before:#}");

    lab.simulator.faults().always(Fault::ServerError(500), Scope::any());
    let after = wait_for("all to be too old for the metrics", || {
        let (_, status) = get(&daemon, "/api/v1/status");
        let lists = &status["watched"]["lists"];
        let is_old = |kind: &&str| {
            lists[kind]["stale"].as_u64() > Some(0) && lists[kind]["stale"] == lists[kind]["complete"]
        };
        if KINDS.iter().all(is_old) { Ok(status) } else { Err(lists.to_string()) }
    });
    daemon.until("the gauges to go", |page| match metric("workspace_info").count_in(page) {
        0 => Ok(()),
        count => Err(count.to_string()),
    });
    assert_eq!(counts(&after), counts(&before));
    assert_eq!(after["failed_clusters"], before["failed_clusters"]);
    let names = |status: &Value| -> Vec<Value> {
        status["targets"].as_array().unwrap().iter().map(|target| target["workspace_name"].clone()).collect()
    };
    assert_eq!(names(&after), names(&before));
    for kind in KINDS {
        let list = &after["watched"]["lists"][kind];
        assert!(list["as_of"].is_string() && list["missing"] == 0 && list["enabled"] == true, "{list}");
    }
    let page = daemon.get("/").1;
    assert!(page.matches("<span class=\"old\">as of <time").count() == KINDS.len(), "{page}");
}

#[test]
fn what_is_not_polled_and_what_was_never_listed_is_no_number() {
    let lab = Lab::new(world());
    lab.simulator.faults().always(Fault::ServerError(500), Scope::of(Operation::ListLivyCompute));
    let sts = "{type: sts, access_key_id: STS.sim-access-key-id, access_key_secret: sim-sts-secret, \
               security_token: sim-security-token}";
    let settings = lab.settings().credentials(sts, &lab.simulator.url());
    let daemon = settings.set("collectors.session_clusters.enabled", "false").start();
    let status = wait_for("the first sweeps", || {
        let (_, status) = get(&daemon, "/api/v1/status");
        let failing = status["watched"]["lists"]["livy_gateways"]["missing"] == 2;
        if failing && status["waiting"] == 0 { Ok(status) } else { Err(status.to_string()) }
    });
    let watched = &status["watched"];
    assert_eq!(watched["workspaces"], 2);
    assert_eq!(
        (&watched["session_clusters"], &watched["lists"]["session_clusters"]["enabled"]),
        (&Value::Null, &false.into())
    );
    assert_eq!((&watched["livy_gateways"], &watched["livy_sessions_active"]), (&Value::Null, &Value::Null));
    // A token does end; it only does not say when.
    assert_eq!(
        status["credentials"],
        json!([{"account": "test", "held": true, "temporary": true, "expires": null}])
    );
    let page = daemon.get("/").1;
    for text in ["not watched", "not known yet", "temporary, expiry unknown"] {
        assert!(page.contains(text), "{text}: {page}");
    }
}

/// Every counter of the sessions on a page, with the question for it.
fn questions(page: &Page) -> Vec<(String, f64)> {
    let line = |line: &str| {
        let (series, value) = line.rsplit_once(' ')?;
        let (name, labels) = series.strip_suffix('}')?.split_once('{')?;
        let is_one = name.contains("_livy_") && name.ends_with("_total");
        let labels = labels.replace("\",", "&").replace(['"'], "");
        is_one.then(|| (format!("/api/v1/series?limit=1000&metric={name}&{labels}"), value.parse().unwrap()))
    };
    page.text.lines().filter_map(line).collect()
}

/// Asks for every counter of a page; its parts must make up its value. Gives the answers.
#[track_caller]
fn explained(daemon: &Daemon, page: &Page) -> Vec<Value> {
    let mut answers = Vec::new();
    for (path, value) in questions(page) {
        let (status, answer) = get(daemon, &path);
        assert_eq!(status, 200, "{path}: {answer}");
        assert_eq!(answer["value"].as_f64(), Some(value), "{path}: {answer:#}");
        assert_eq!(answer["adds_up"], true, "{path}");
        let (listed, contributing) = (&answer["sessions"]["listed"], &answer["sessions"]["contributing"]);
        assert!(listed.as_u64() <= contributing.as_u64(), "{path}: {answer:#}");
        let figure = |at: &str| answer.pointer(at).and_then(Value::as_i64).unwrap();
        let listed: i64 =
            answer["largest"].as_array().unwrap().iter().map(|s| s["counted"].as_i64().unwrap()).sum();
        let parts = listed + figure("/sessions/left_out") + figure("/pruned/counted");
        assert_eq!(parts, figure("/total/counted"), "{path}: {answer:#}");
        answers.push(answer);
    }
    answers
}

#[test]
fn every_counter_is_made_of_its_sessions_to_the_last_digit() {
    let lab = Lab::new(world());
    let daemon = lab.start();
    let answers = explained(&daemon, &lab.settle(&daemon));
    assert!(answers.len() > 20, "{}", answers.len());
    // The largest come first, and a limit leaves the rest out.
    let (path, _) = questions(&daemon.scrape()).remove(0);
    let (_, few) = get(&daemon, &path.replace("limit=1000", "limit=2"));
    let all: Vec<i64> =
        answers[0]["largest"].as_array().unwrap().iter().map(|s| s["counted"].as_i64().unwrap()).collect();
    assert!(all.is_sorted_by(|a, b| a >= b) && all.len() > 10, "{all:?}");
    assert_eq!(few["largest"].as_array().unwrap().len(), 2);
    assert_eq!(few["sessions"]["left_out"], all[2..].iter().sum::<i64>());
    // While the writer is at work, the explanation is of one state of the ledger.
    for _ in 0..20 {
        lab.advance(MINUTE);
        let (status, answer) = get(&daemon, &path);
        assert_eq!((status, &answer["adds_up"]), (200, &true.into()), "{answer}");
    }
}

#[test]
fn a_revision_and_the_remainder_of_what_is_not_kept_are_told() {
    // Of a history without an order, every poll is a full sweep, which prunes what is no longer listed.
    let lab = Lab::new(WorldConfig {
        start: Clock::System.now() - 10 * 86_400_000,
        order: HistoryOrder::Shuffled,
        downward_share: 0.5,
        revision_delay: 6 * HOUR,
        retention: Some(24 * HOUR),
        history_span: 20 * HOUR,
        births_per_hour: 5,
        ..world()
    });
    let settings = lab.settings().set("ledger.retention", "1day");
    let daemon = settings.start();
    let sum = |answers: &[Value], at: &str| {
        answers.iter().map(|answer| answer.pointer(at).unwrap().as_i64().unwrap()).sum::<i64>()
    };
    wait_for("revisions and a remainder", || {
        lab.advance(4 * HOUR);
        daemon.sweeps("livy_sessions", 8.0);
        let answers: Vec<Value> =
            questions(&daemon.scrape()).into_iter().map(|(path, _)| get(&daemon, &path).1).collect();
        assert!(answers.iter().all(|answer| answer["adds_up"] == true), "{answers:#?}");
        let found = ["/total/overcounted", "/pruned/counted", "/pruned/sessions"].map(|at| sum(&answers, at));
        if found.iter().all(|found| *found > 0) { Ok(()) } else { Err(format!("{found:?}")) }
    });
}

#[test]
fn an_excluded_baseline_and_a_held_series_are_told() {
    let lab = Lab::new(world());
    let settings = lab.settings().set("ledger.baseline", "exclude").set("exposition.zero_hold", "1h");
    let daemon = settings.start();
    daemon.until("baselines", |page| match metric("livy_cu_seconds_total").count_in(page) {
        count if count > 10 => Ok(()),
        count => Err(count.to_string()),
    });
    let answers = explained(&daemon, &daemon.scrape());
    let of = |name: &str| answers.iter().find(|a| a["metric"].as_str().unwrap().ends_with(name)).unwrap();
    let usage = of("livy_cu_seconds_total");
    assert_eq!((&usage["baseline"]["mode"], &usage["total"]["counted"]), (&"exclude".into(), &0.into()));
    assert!(usage["total"]["excluded"].as_i64().unwrap() > 0, "{usage:#}");
    assert_eq!(usage["shown"], "counted");

    // A queue that comes later is held at zero; what it holds is told all the same.
    let workspace = &lab.world().workspace_ids()[0];
    let gateway = &lab.world().gateways(workspace)[0].id;
    lab.world().add_queue(gateway, "late_queue", 0);
    lab.advance(2 * HOUR);
    let late = metric("livy_cu_seconds_total").label("queue", "late_queue");
    daemon.until("the late queue", |page| late.value_in(page).map(drop).ok_or_else(|| "not yet".to_owned()));
    let of = format!("workspace_id={workspace}&livy_compute_id={gateway}&queue=late_queue");
    let (_, held) = get(&daemon, &format!("/api/v1/series?metric=livy_cu_seconds_total&{of}"));
    assert_eq!((&held["shown"], held["value"].as_f64()), (&"held_at_zero".into(), Some(0.0)), "{held:#}");
    assert!(held["total"]["counted"].as_i64().unwrap() > 0, "{held:#}");
}

#[test]
fn what_is_wrong_with_a_question_is_told_with_what_is_accepted() {
    let lab = Lab::new(world());
    let daemon = lab.start();
    lab.settle(&daemon);
    let ask = |query: &str| get(&daemon, &format!("/api/v1/series{query}"));
    let error = |query: &str| {
        let (status, answer) = ask(query);
        (status, answer["error"].as_str().unwrap_or_default().to_owned())
    };
    let cases = [
        ("", 400, "the parameter metric is missing"),
        ("?metric=up", 400, "expected one of emr_serverless_spark_livy_cu_seconds_total, "),
        ("?metric=livy_cu_seconds_total", 400, "the label workspace_id is missing; "),
        ("?metric=livy_cu_seconds_total&queues=q", 400, "unknown parameter \"queues\"; "),
        ("?metric=livy_cu_seconds_total&limit=0", 400, "limit: expected a number from 1 to 1000"),
        (
            "?metric=livy_cu_seconds_total&workspace_id=w&livy_compute_id=g&queue=q",
            404,
            "the ledger has no sessions of this workspace_id and livy_compute_id",
        ),
    ];
    for (query, status, words) in cases {
        let (found, why) = error(query);
        assert_eq!(found, status, "{query}: {why}");
        assert!(why.contains(words), "{query}: {why}");
    }
    let workspace = &lab.world().workspace_ids()[0];
    let gateway = &lab.world().gateways(workspace)[0].id;
    let query = format!(
        "?metric=livy_cu_seconds_total&workspace_id={workspace}&livy_compute_id={gateway}&queue=none"
    );
    let (status, why) = error(&query);
    assert_eq!(status, 404);
    assert!(why.contains("letter by letter") && why.contains("\"root_queue\""), "{why}");
    assert_eq!(error("?metric=livy_cu_seconds_total&queue=%FF").0, 400);
    assert_eq!(ask("?metric=up").1["api_version"], json!(1));

    // For people, the same as a page; and what is in it, too.
    let (status, page) = daemon.get(&format!("/api/v1/series{query}&format=html"));
    assert!(status == 404 && page.contains("&quot;root_queue&quot;") && page.contains("<h1>"), "{page}");
    let (status, page) =
        daemon.get(&format!("/api/v1/series{}&format=html", query.replace("queue=none", "queue=root_queue")));
    let name = &lab.world().gateways(workspace)[0].name;
    assert!(status == 200 && page.contains("Its sessions") && page.contains(name), "{page}");
}
