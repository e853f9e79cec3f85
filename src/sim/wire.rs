//! The answers' exact JSON: every field that the API's pages and SDK models show, in their spelling and type.
//! Invariant: a function of the world at one moment; nothing here decides which rows are shown.

use serde::Serialize;
use serde_json::{Value, json};

use super::world::{
    Cluster, Gateway, RunningEnd, SessionState, View, Workspace, draw, mix, session_id, session_name,
};

/// The code of success in the interactive API's envelope.
pub(crate) const ENVELOPE_OK: &str = "1000000";

/// One row of ListLivyComputeSessions. A struct, not a `Value`: pages of this list are the bulk of all answers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionRow<'a> {
    name: String,
    compute_id: &'a str,
    session_id: String,
    spark_conf: String,
    state: &'static str,
    /// The text `null`, as the service writes it.
    info: &'static str,
    create_time: i64,
    #[serde(rename = "webUI")]
    web_ui: String,
    /// Outer `None`: no such field; inner: `null`.
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<Option<i64>>,
    queue: &'a str,
    cu_hours: f64,
    vcore_seconds: i64,
    mb_seconds: i64,
}

/// The answer of ListLivyComputeSessions.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionsPage<'a> {
    pub(crate) request_id: &'a str,
    pub(crate) total_count: u64,
    pub(crate) sessions: Vec<SessionRow<'a>>,
}

pub(crate) fn session_row<'a>(view: &View<'_>, gateway: &'a Gateway, index: u64) -> SessionRow<'a> {
    let session = gateway.session(view.config, index);
    let state = session.state(view.now);
    let usage = session.shown(view.now, view.config);
    let (name, user) = session_name(gateway.seed, index);
    let id = session_id(gateway.seed, index);
    let end_time = match view.config.running_end {
        _ if state.is_ended() => Some(Some(session.ended)),
        RunningEnd::Null => Some(None),
        RunningEnd::Absent => None,
        RunningEnd::Zero => Some(Some(0)),
        RunningEnd::Now => Some(Some(view.now)),
    };
    SessionRow {
        compute_id: &gateway.id,
        spark_conf: format!(
            "{{\n \"proxyUser\": \"{user}\",\n \"conf\": {{\n \"spark.driver.cores\": 1,\n \
             \"spark.executor.cores\": 4,\n \"spark.executor.instances\": {}\n }}\n}}",
            session.vcores / 4
        ),
        state: state.as_str(),
        info: if state == SessionState::Error { "Session exited with an error" } else { "null" },
        create_time: session.created,
        web_ui: format!("http://emr-spark-ui-{}.data.aliyun.com/{id}", view.config.region),
        end_time,
        queue: gateway.session_queue(index, session.created),
        cu_hours: cu_hours(usage.nano_cu_hours),
        vcore_seconds: usage.vcore_seconds,
        mb_seconds: usage.mb_seconds,
        session_id: id,
        name,
    }
}

/// Nano-CU-hours as a number of CU-hours. Below 10⁶ CU-hours a session its shortest text has at most nine decimals
/// and names exactly this many nano-CU-hours: fifteen significant digits survive a double.
#[expect(clippy::cast_precision_loss, reason = "see above")]
fn cu_hours(nano: i64) -> f64 {
    nano as f64 / 1e9
}

/// One row of ListSessionClusters, or with `env_id` the object of GetSessionCluster.
pub(crate) fn cluster_row(
    view: &View<'_>,
    workspace: &Workspace,
    cluster: &Cluster,
    with_env: bool,
) -> Value {
    let spec = &cluster.spec;
    let phase = cluster.phase(view.now);
    let configs = spec.application_configs.iter();
    let random = mix(cluster.created.unsigned_abs() ^ draw(view.config.seed, 0x51, 0));
    let region = &view.config.region;
    let mut row = json!({
        "workspaceId": workspace.id,
        "sessionClusterId": cluster.id,
        "userId": cluster.user_id,
        "queueName": spec.queue,
        "state": phase.state.as_str(),
        "stateChangeReason": {"code": phase.code, "message": reason(&phase.code)},
        "autoStartConfiguration": {"enable": spec.auto_start},
        "autoStopConfiguration": {
            "enable": spec.auto_stop.enable,
            "idleTimeoutMinutes": spec.auto_stop.idle_timeout_minutes,
        },
        "applicationConfigs": configs.map(|c| json!({
            "configFileName": c.file, "configItemKey": c.key, "configItemValue": c.value,
        })).collect::<Vec<_>>(),
        "name": spec.name,
        "userName": cluster.user_name,
        "kind": spec.kind,
        "webUI": format!("http://spark-ui-{region}.data.aliyun.com/{}", cluster.id),
        "releaseVersion": spec.release_version,
        // The service's own example ends in a line break.
        "draftId": format!("TSK-{random:016x}\n"),
        "domain": format!("emr-spark-gateway-{region}.data.aliyun.com"),
        "displayReleaseVersion": spec.display_release_version,
        "fusion": spec.fusion,
        "gmtCreate": cluster.created,
        "startTime": phase.start_time,
        "domainInner": format!("emr-spark-gateway-{region}-internal.data.aliyuncs.com"),
        "extra": "{\"extraInfoKey\":\"extraInfoValue\"}",
        "publicEndpointEnabled": spec.public_endpoint,
        "connectionToken": format!("sim-connection-token-{:016x}", mix(random)),
    });
    if with_env {
        row["envId"] = spec.env_id.clone().map_or(Value::Null, Value::String);
    }
    row
}

fn reason(code: &str) -> &'static str {
    match code {
        "200" => "ok",
        "ResourceNotEnough" => "The queue has not enough resources to start the session.",
        "DriverStartTimeout" => "The driver did not start in time.",
        "InvalidSparkConf" => "A Spark configuration item is not valid.",
        _ => "The session failed.",
    }
}

pub(crate) fn workspace_row(view: &View<'_>, workspace: &Workspace) -> Value {
    let subscribed = workspace.payment_type == "Pre";
    let quota = json!({
        "instanceId": format!("emr-{}", workspace.id),
        "maxResource": resource(200, 800),
        "allocatedResource": resource(120, 480),
        "usedResource": resource(40, 160),
        "paymentStatus": "NORMAL",
        "createTime": workspace.created,
        "expireTime": workspace.created + 365 * 86_400_000,
        "autoRenewal": true,
        "orderId": format!("{}", mix(workspace.created.unsigned_abs()) >> 16),
    });
    let tags = workspace.tags.iter().map(|(key, value)| json!({"tagKey": key, "tagValue": value}));
    json!({
        "workspaceId": workspace.id,
        "workspaceName": workspace.name,
        "workspaceStatus": "RUNNING",
        "regionId": view.config.region,
        "resourceGroupId": workspace.resource_group_id,
        "resourceSpec": "{\"cu\": 200}",
        "paymentType": workspace.payment_type,
        "paymentStatus": "NORMAL",
        "paymentDurationUnit": if subscribed { json!("Month") } else { Value::Null },
        "duration": if subscribed { json!(12) } else { Value::Null },
        "autoRenew": subscribed,
        "autoRenewPeriod": if subscribed { json!(1) } else { Value::Null },
        "autoRenewPeriodUnit": if subscribed { json!("Month") } else { Value::Null },
        "createTime": workspace.created,
        "endTime": Value::Null,
        "failReason": Value::Null,
        "releaseType": Value::Null,
        "stateChangeReason": {"code": "200", "message": "ok"},
        "storage": format!("oss://emr-{}/", workspace.name),
        "dlfCatalogId": "default",
        "dlfType": "1.0",
        "gpuSpec": [],
        "ipWhiteList": [],
        "prePaidQuota": if subscribed { quota } else { Value::Null },
        "prePaidQuotaGpu": [],
        "tags": tags.collect::<Vec<_>>(),
    })
}

pub(crate) fn queue_row(view: &View<'_>, workspace: &Workspace, number: usize) -> Value {
    let name = &workspace.queues[number];
    json!({
        "queueName": name,
        "queueStatus": "RUNNING",
        "queueType": if number == 0 { "instance" } else { "instanceChildren" },
        "queueCategory": "CPU",
        "queueScope": "workspace",
        "workspaceId": workspace.id,
        "regionId": view.config.region,
        "instanceId": format!("emr-{}", workspace.id),
        "paymentType": workspace.payment_type,
        "creator": "200000000000000001",
        "createTime": workspace.created,
        "description": Value::Null,
        "environments": environments(name),
        "maxResource": resource(100, 400),
        "minResource": resource(0, 0),
        "usedResource": resource(20, 80),
        "gpuMachineNum": 0,
        "gpuSpec": [],
        "preheat": false,
        "properties": "{}",
        "allowActions": [{
            "actionArn": "acs:emr-serverless-spark:*:*:queue/use",
            "actionName": "UseQueue",
            "displayName": "Use queue",
            "description": "Submit jobs to the queue",
            "dependencies": [],
        }],
    })
}

/// The environments of a queue: `dev_queue` serves development, `root_queue` both, the others production.
pub(crate) fn environments(queue: &str) -> &'static [&'static str] {
    match queue {
        "dev_queue" => &["dev"],
        "root_queue" => &["dev", "production"],
        _ => &["production"],
    }
}

/// Resources as the service writes them: JSON in a text.
fn resource(cpu: u32, memory_gib: u32) -> String {
    format!("{{\"cpu\": \"{cpu}\",\"memory\": \"{memory_gib}Gi\"}}")
}

pub(crate) fn gateway_row(view: &View<'_>, gateway: &Gateway) -> Value {
    let region = &view.config.region;
    json!({
        "computeId": gateway.id,
        "name": gateway.name,
        "status": "Running",
        "queueName": gateway.queue(),
        "createdBy": gateway.created_by,
        "endpoint": format!("emr-spark-livy-gateway-{region}.data.aliyun.com/api/v1/{}", gateway.id),
        "endpointInner": format!("emr-spark-livy-gateway-{region}-internal.data.aliyuncs.com/api/v1/{}", gateway.id),
        "gmtCreate": gateway.created,
        "startTime": gateway.created + 60_000,
    })
}

/// The `data` of GetLivyCompute.
pub(crate) fn gateway_detail(view: &View<'_>, gateway: &Gateway) -> Value {
    let mut detail = gateway_row(view, gateway);
    let more = json!({
        "authType": "Token",
        "autoStopConfiguration": {"enable": false, "idleTimeoutMinutes": 45},
        "cpuLimit": "2",
        "memoryLimit": "8Gi",
        "releaseVersion": "esr-4.3.0 (Spark 3.5.2, Scala 2.12)",
        "displayReleaseVersion": "esr-4.3.0 (Spark 3.5.2, Scala 2.12)",
        "livyVersion": "0.8.0",
        "livyServerConf": "{\"sparkDefaultsConf\":\"spark.driver.cores 1\"}",
        "fusion": false,
        "enablePublic": false,
        "environmentId": Value::Null,
        "networkName": Value::Null,
        "ramUserId": "200000000000000001",
    });
    if let (Some(detail), Value::Object(more)) = (detail.as_object_mut(), more) {
        detail.extend(more);
    }
    detail
}

/// The interactive API's envelope; a failure can come in it with HTTP 200.
pub(crate) fn envelope(code: &str, message: &str, data: &Value, request_id: &str) -> Value {
    json!({"code": code, "message": message, "data": data, "requestId": request_id})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cu_hours_are_written_so_that_nothing_is_lost() {
        for nano in
            (0..200_000).map(|i: i64| i * 4_999_999_777).chain([277_777, 833_333, 999_999_999_999_999])
        {
            let text = serde_json::to_string(&cu_hours(nano)).unwrap();
            let (whole, decimals) = text.split_once('.').unwrap();
            assert!(decimals.len() <= 9 && !text.contains('e'), "{text}");
            let read: i64 = format!("{whole}{decimals:0<9}").parse().unwrap();
            assert_eq!(read, nano);
        }
    }
}
