//! The rows, whatever their form.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::api::wire::{Body, Found, LivyCompute, LivySession, Row, SessionCluster, Workspace, parse};

fn rows<T: Row>(text: &str, place: &'static [&'static str]) -> (Vec<T>, usize, Vec<&'static str>) {
    let body: Body<T> = parse(text, place).unwrap();
    match body.found {
        Found::List { rows, row_count } => (rows, row_count, body.malformed),
        _ => panic!("no list in {text}"),
    }
}

#[test]
fn the_published_session_is_read() {
    let text = r#"{"requestId":"8FAA","totalCount":10,"sessions":[{"name":"test_session","computeId":"lc-x","sessionId":"livy-x",
        "sparkConf":"{\n \"proxyUser\": \"test\"}","state":"running","info":"null","createTime":1768213240000,"webUI":"http://x",
        "endTime":1768213240000,"queue":"root_queue","cuHours":322.5,"vcoreSeconds":343,"mbSeconds":1098888}]}"#;
    let (rows, _, malformed) = rows::<LivySession>(text, &["sessions"]);
    let expected = LivySession {
        session_id: Some("livy-x".into()),
        name: Some("test_session".into()),
        queue: Some("root_queue".into()),
        state: Some("running".into()),
        created: Some(1_768_213_240_000),
        ended: Some(1_768_213_240_000),
        nano_cu_hours: Some(322_500_000_000),
        vcore_seconds: Some(343),
        mb_seconds: Some(1_098_888),
    };
    assert_eq!(rows, [expected]);
    assert!(malformed.is_empty());
}

#[test]
fn the_published_session_cluster_is_read_without_its_token() {
    let text = r#"{"sessionClusters":[{"workspaceId":"w-1","sessionClusterId":"sc-1\n","queueName":"dev_queue","state":"Running",
        "stateChangeReason":{"code":200,"message":"ok"},"autoStartConfiguration":{"enable":true},
        "autoStopConfiguration":{"enable":"false","idleTimeoutMinutes":"45"},"applicationConfigs":[{"a":[1,{}]}],
        "name":"adhoc","kind":"SQL","fusion":false,"gmtCreate":"2024-09-01 06:23:01","startTime":0,
        "publicEndpointEnabled":null,"connectionToken":"s3cret","domain":null}],"totalCount":200,"nextToken":"1"}"#;
    let (rows, _, malformed) = rows::<SessionCluster>(text, &["sessionClusters"]);
    let row = &rows[0];
    assert_eq!(row.session_cluster_id.as_deref(), Some("sc-1"));
    assert_eq!(row.state_change_reason.as_ref().unwrap().code.as_deref(), Some("200"));
    assert_eq!(row.auto_start.as_ref().unwrap().enable, Some(true));
    let auto_stop = row.auto_stop.as_ref().unwrap();
    assert_eq!((auto_stop.enable, auto_stop.idle_timeout_minutes), (Some(false), Some(45)));
    assert_eq!((row.fusion, row.public_endpoint), (Some(false), None));
    assert_eq!((row.created, row.started), (Some(1_725_142_981_000), None));
    assert!(malformed.is_empty() && !format!("{row:?}").contains("s3cret"));
}

#[test]
fn workspaces_and_gateways_are_read() {
    let text = r#"{"workspaces":[{"workspaceId":"w-1","workspaceName":"n","workspaceStatus":"RUNNING","paymentType":"PayAsYouGo",
        "createTime":1684115879955,"tags":[]}]}"#;
    let (workspaces, _, _) = rows::<Workspace>(text, &["workspaces"]);
    assert_eq!(workspaces[0].payment_type.as_deref(), Some("PayAsYouGo"));
    let text = r#"{"code":"1000000","data":{"x":{"livyComputes":1},"livyComputes":[{"computeId":"lc","status":"Running","createdBy":"u"}]}}"#;
    let (gateways, _, _) = rows::<LivyCompute>(text, &["data", "livyComputes"]);
    assert_eq!(
        (gateways[0].status.as_deref(), gateways[0].created_by.as_deref()),
        (Some("Running"), Some("u"))
    );
}

#[test]
fn the_head_is_read_at_the_top_alone() {
    let text = r#"{"Code":"1000000","data":{"code":"5","nextToken":"x","livyComputes":[]},"RequestId":"r"}"#;
    let body: Body<LivyCompute> = parse(text, &["data", "livyComputes"]).unwrap();
    assert_eq!((body.head.code.as_deref(), body.head.request_id.as_deref()), (Some("1000000"), Some("r")));
    assert_eq!(body.head.next_token, None);
}

#[test]
fn bad_rows_and_fields_are_dropped_and_named_and_the_rest_stays() {
    let text = r#"{"totalCount":[],"sessions":[5, null, "x", [], ["livy-9"], {}, {"sessionId":""}, {"sessionId":null},
        {"sessionId":"null"}, {"sessionId":{}}, {"sessionId":"a","cuHours":-1,"vcoreSeconds":"x","state":[],"mbSeconds":1e999},
        {"sessionId":"b","sessionId":"c","vcoreSeconds":7}, {"sessionId":"d","name":"\ud800","mbSeconds":"9"}]}"#;
    let (rows, row_count, malformed) = rows::<LivySession>(text, &["sessions"]);
    let ids: Vec<_> = rows.iter().map(|row| row.session_id.as_deref().unwrap()).collect();
    assert_eq!((ids, row_count), (vec!["a", "c", "d"], 13));
    assert_eq!((rows[1].vcore_seconds, rows[2].mb_seconds), (Some(7), Some(9)));
    assert_eq!(rows[0].nano_cu_hours, None);
    let times = |name| malformed.iter().filter(|m| **m == name).count();
    assert_eq!(times("sessions[]"), 10);
    let fields = ["totalCount", "sessionId", "cuHours", "vcoreSeconds", "state", "mbSeconds", "name"];
    assert!(fields.iter().all(|name| times(name) == 1), "{malformed:?}");
}

#[test]
fn rows_that_no_value_can_hold_fail_alone_too() {
    for bad in ["1e999", r#""\ud800""#, r#"{"\ud800":1}"#, &("[".repeat(300) + &"]".repeat(300))] {
        let text = format!(r#"{{"sessions":[{bad},{{"sessionId":"a","x":{bad}}}],"other":{bad}}}"#);
        let (rows, row_count, malformed) = rows::<LivySession>(&text, &["sessions"]);
        assert_eq!((rows.len(), row_count, malformed.as_slice()), (1, 2, &["sessions[]"][..]), "{bad}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        "[-+0-9.eE :T]{0,20}".prop_map(Value::from),
        Just(Value::from("null")),
    ];
    let key = prop_oneof![
        Just("sessionId"),
        Just("cuHours"),
        Just("mbSeconds"),
        Just("createTime"),
        Just("state"),
        Just("stateChangeReason"),
        Just("sessions"),
        Just("other"),
    ];
    leaf.prop_recursive(4, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(key.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_text_parses_or_is_refused(text in "\\PC{0,80}") {
        let _ = parse::<LivySession>(&text, &["sessions"]);
    }

    #[test]
    fn any_json_object_parses(value in any_json()) {
        let is_object = value.is_object();
        let text = value.to_string();
        prop_assert_eq!(parse::<SessionCluster>(&text, &["data", "sessions"]).is_ok(), is_object);
    }

    #[test]
    fn a_good_row_survives_between_bad_ones(
        before in prop::collection::vec(any_json(), 0..5),
        after in prop::collection::vec(any_json(), 0..5),
        junk in any_json(),
    ) {
        let good = json!({"other": junk, "sessionId": "the good one", "cuHours": "1.5", "info": junk, "vcoreSeconds": 3.0});
        let count = before.len() + 1 + after.len();
        let list: Vec<Value> = before.into_iter().chain([good]).chain(after).collect();
        let text = json!({"junk": junk, "sessions": list}).to_string();
        let (rows, row_count, malformed) = rows::<LivySession>(&text, &["sessions"]);
        prop_assert_eq!(row_count, count);
        let dropped = malformed.iter().filter(|m| **m == "sessions[]").count();
        prop_assert_eq!(rows.len() + dropped, count);
        let good: Vec<_> =
            rows.iter().filter(|row| row.session_id.as_deref() == Some("the good one")).collect();
        prop_assert_eq!(good.len(), 1);
        prop_assert_eq!((good[0].nano_cu_hours, good[0].vcore_seconds), (Some(1_500_000_000), Some(3)));
    }
}

#[test]
fn tags_of_a_workspace_are_read_and_one_that_is_no_object_spoils_them() {
    let text = r#"{"workspaces":[
        {"workspaceId":"w-1","tags":[{"tagKey":"team","tagValue":"data"},{"tagKey":"bare","tagValue":null,"x":[1]}]},
        {"workspaceId":"w-2","tags":null},
        {"workspaceId":"w-3","tags":[]},
        {"workspaceId":"w-4","tags":[{"tagKey":"team"},"loose"]},
        {"workspaceId":"w-5","tags":{"team":"data"}}]}"#;
    let (workspaces, _, malformed) = rows::<Workspace>(text, &["workspaces"]);
    let read = |n: usize| {
        let tags = workspaces[n].tags.as_ref()?;
        Some(tags.iter().map(|tag| (tag.key.as_deref(), tag.value.as_deref())).collect::<Vec<_>>())
    };
    assert_eq!(read(0), Some(vec![(Some("team"), Some("data")), (Some("bare"), None)]));
    assert_eq!((read(1), read(2)), (None, Some(vec![])));
    assert_eq!((read(3), read(4)), (None, None));
    assert_eq!(malformed, ["tags", "tags"]);
}
