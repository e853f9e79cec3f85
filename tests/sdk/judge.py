"""Drives every operation of the simulator with the official SDK and compares its answers with the simulated world.

Usage: judge.py HOST:PORT. One line a check; ends with their number, or with 1 at the first that fails.
The world must stand still and keep its whole history; its keys are the simulator's default ones.
"""

import json
import sys
import urllib.request
from collections import Counter, defaultdict
from decimal import Decimal

from alibabacloud_emr_serverless_spark20230808 import models as m
from alibabacloud_emr_serverless_spark20230808.client import Client
from alibabacloud_tea_openapi.exceptions import AlibabaCloudException, ThrottlingException
from alibabacloud_tea_openapi.utils_models import Config

ENDPOINT = sys.argv[1]
KEY = ("sim-access-key-id", "sim-access-key-secret", None)
STS_KEY = ("STS.sim-access-key-id", "sim-sts-secret", "sim-security-token")
PAGE_SIZES = (None, 1, 7, 100)
checks = 0


def check(name, got, expected):
    global checks
    if got != expected:
        sys.exit(f"FAILED {name}\n  got      {got!r}\n  expected {expected!r}")
    checks += 1
    print(f"ok {name}", flush=True)


def demand(condition, what):
    if not condition:
        sys.exit(f"FAILED {what}")


def control(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://{ENDPOINT}/sim/v1/{path}", data=data, method=method)
    # No proxy, whatever the environment says: the simulator is on loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=60) as response:
        return json.load(response)


def truth():
    return control("GET", "truth")


def advance(seconds):
    control("POST", "clock", {"advance_seconds": seconds})


REGION = truth()["region"]


def client(key=KEY):
    return Client(
        Config(
            endpoint=ENDPOINT,
            protocol="HTTP",
            region_id=REGION,
            access_key_id=key[0],
            access_key_secret=key[1],
            security_token=key[2],
            no_proxy="127.0.0.1",
        )
    )


def refused(name, call, code, status, kind=AlibabaCloudException):
    try:
        call()
    except AlibabaCloudException as error:
        check(name, (error.code, error.status_code, isinstance(error, kind)), (code, status, True))
        check(f"{name}: request id", bool(error.request_id) and error.request_id != "None", True)
        return error
    check(name, "no error", (code, status))


def missing(model, may_be_none=()):
    """The fields that the SDK knows and the answer left empty: a field of the wrong spelling would be one."""
    return sorted(name for name, value in vars(model).items() if value is None and name not in may_be_none)


def by_token(call, rows_of, **filters):
    """All rows of a token-paged list; checks the pages on the way."""
    results = []
    for size in PAGE_SIZES:
        rows, token, sizes, total = [], None, [], None
        while True:
            body = call(max_results=size, next_token=token, region_id=REGION, **filters).body
            page = rows_of(body)
            sizes.append(len(page))
            rows += page
            total = body.total_count
            demand(body.max_results == (size or 20) and body.request_id, f"the page says its size and id: {body}")
            token = body.next_token
            if not token:
                break
        full = size or 20
        expected = [full] * (total // full) + ([total % full] if total % full or not total else [])
        check(f"{call.__name__} {filters} by {size}: page sizes", sizes, expected)
        results.append([row.to_map() for row in rows])
    check(f"{call.__name__} {filters}: the same by any page size", all(r == results[0] for r in results), True)
    return rows


def by_number(sdk, workspace_id, compute_id, size=None):
    rows, number = [], 1
    while True:
        request = m.ListLivyComputeSessionsRequest(page_num=number, page_size=size, region_id=REGION)
        body = sdk.list_livy_compute_sessions(workspace_id, compute_id, request).body
        rows += body.sessions
        if len(body.sessions) < (size or 20):
            return rows, body.total_count
        number += 1


def judge_workspaces(sdk):
    world = truth()["workspaces"]

    def list_workspaces(**arguments):
        return sdk.list_workspaces(m.ListWorkspacesRequest(**arguments))

    def rows(**filters):
        return by_token(list_workspaces, lambda body: body.workspaces, **filters)

    def ids(**filters):
        return [w.workspace_id for w in rows(**filters)]

    def expected(keep):
        return [w["workspaceId"] for w in world if keep(w)]

    subscription = ("duration", "payment_duration_unit", "auto_renew_period", "auto_renew_period_unit", "pre_paid_quota")
    for row, w in zip(rows(), world, strict=True):
        got = row.to_map()
        fields = ("workspaceId", "workspaceName", "paymentType", "resourceGroupId", "createTime", "tags")
        check(f"workspace {row.workspace_id}", {f: got[f] for f in fields}, {f: w[f] for f in fields})
        check("its region and status", (row.region_id, row.workspace_status), (REGION, "RUNNING"))
        may_be_none = ("end_time", "fail_reason", "release_type")
        may_be_none += () if row.payment_type == "Pre" else subscription
        check("its fields", missing(row, may_be_none), [])
        if row.payment_type == "Pre":
            check("its quota", missing(row.pre_paid_quota), [])
            check("its quota in JSON", set(json.loads(row.pre_paid_quota.max_resource)), {"cpu", "memory"})
    first = world[0]
    name, tag = first["workspaceName"], first["tags"][0]
    group = first["resourceGroupId"]
    check("by name", ids(name=name), expected(lambda w: name in w["workspaceName"]))
    check("by resource group", ids(resource_group_id=group), expected(lambda w: w["resourceGroupId"] == group))
    check("by state", ids(state="Running"), expected(lambda w: True))
    check("by another state", ids(state="Stopped"), [])
    wanted = [m.ListWorkspacesRequestTag(key=tag["tagKey"], value=tag["tagValue"])]
    check("by tag", ids(tag=wanted), expected(lambda w: tag in w["tags"]))
    refused("too large a page", lambda: list_workspaces(max_results=101), "InvalidParameter", 400)
    refused("a foreign token", lambda: list_workspaces(next_token="20"), "InvalidParameter", 400)
    refused("another region", lambda: list_workspaces(region_id="cn-beijing"), "InvalidParameter", 400)
    check("no region", len(list_workspaces(max_results=100).body.workspaces), len(world))


def judge_queues(sdk):
    for w in truth()["workspaces"]:
        body = sdk.list_workspace_queues(w["workspaceId"], m.ListWorkspaceQueuesRequest(region_id=REGION)).body
        check(f"queues of {w['workspaceId']}", [q.queue_name for q in body.queues], w["queues"])
        check("their total", (body.total_count, body.next_token), (len(w["queues"]), None))
        for queue in body.queues:
            check(f"fields of {queue.queue_name}", missing(queue, ("description",)), [])
        request = m.ListWorkspaceQueuesRequest(environment="dev")
        dev = sdk.list_workspace_queues(w["workspaceId"], request).body.queues
        check("queues for development", {q.queue_name for q in dev} <= {"root_queue", "dev_queue"}, True)


def cluster_facts(row):
    return {
        "sessionClusterId": row.session_cluster_id,
        "name": row.name,
        "kind": row.kind,
        "queueName": row.queue_name,
        "state": row.state,
        "code": row.state_change_reason.code,
    }


def judge_clusters(sdk):
    for w in truth()["workspaces"]:
        workspace_id, world = w["workspaceId"], w["sessionClusters"]

        def list_session_clusters(**arguments):
            return sdk.list_session_clusters(workspace_id, m.ListSessionClustersRequest(**arguments))

        def rows(**filters):
            return by_token(list_session_clusters, lambda body: body.session_clusters, **filters)

        def facts(**filters):
            return [cluster_facts(row) for row in rows(**filters)]

        check(f"session clusters of {workspace_id}", facts(), world)
        one = world[len(world) // 2]
        for parameter, field in (("session_cluster_id", "sessionClusterId"), ("queue_name", "queueName"), ("kind", "kind")):
            filters = {parameter: one[field]}
            check(f"by {parameter}", facts(**filters), [c for c in world if c[field] == one[field]])
        for row in rows()[:5]:
            check(f"fields of {row.session_cluster_id}", missing(row), [])
            check("its secret is recognisable", row.connection_token.startswith("sim-connection-token-"), True)
            check("its draft id and extra", (row.draft_id[-1], json.loads(row.extra)), ("\n", {"extraInfoKey": "extraInfoValue"}))
            request = m.GetSessionClusterRequest(region_id=REGION)
            got = sdk.get_session_cluster(workspace_id, row.session_cluster_id, request).body.session_cluster
            alone = got.to_map()
            env_id = alone.pop("envId", None)
            check("the same alone", alone, row.to_map())
            check("its environment", bool(env_id), row.kind == "NOTEBOOK")
        refused("an unknown kind", lambda: list_session_clusters(kind="PYTHON"), "InvalidParameter", 400)
        get = lambda: sdk.get_session_cluster(workspace_id, "sc/none", m.GetSessionClusterRequest())  # noqa: E731
        refused("an unknown session cluster", get, "SessionCluster.NotFound", 404)
    nowhere = lambda: sdk.list_session_clusters("w-none", m.ListSessionClustersRequest())  # noqa: E731
    refused("an unknown workspace", nowhere, "Workspace.NotFound", 404)


def judge_gateways(sdk):
    for w in truth()["workspaces"]:
        workspace_id = w["workspaceId"]
        request = m.ListLivyComputeRequest(region_id=REGION, environment_id="env-1")
        body = sdk.list_livy_compute(workspace_id, request).body
        check(f"gateways of {workspace_id}: envelope", (body.code, bool(body.request_id)), ("1000000", True))
        got = [(g.compute_id, g.name, g.queue_name) for g in body.data.livy_computes]
        check("its gateways", got, [(g["computeId"], g["name"], g["queueName"]) for g in w["gateways"]])
        for row in body.data.livy_computes:
            check(f"fields of {row.compute_id}", missing(row), [])
            detail = sdk.get_livy_compute(workspace_id, row.compute_id, m.GetLivyComputeRequest(region_id=REGION)).body
            check("its details", (detail.code, missing(detail.data, ("environment_id", "network_name"))), ("1000000", []))
            both = row.to_map()
            check("the same alone", {k: detail.data.to_map()[k] for k in both}, both)
        get = lambda: sdk.get_livy_compute(workspace_id, "lc-none", m.GetLivyComputeRequest())  # noqa: E731
        refused("an unknown gateway", get, "LivyCompute.NotFound", 404)
    control("POST", "faults", {"fault": "business_error", "operation": "ListLivyCompute", "next": 1})
    body = sdk.list_livy_compute(workspace_id, m.ListLivyComputeRequest()).body
    check("a failure with HTTP 200", (body.code != "1000000", body.data), (True, None))


def judge_sessions(sdk, sizes):
    for w in truth()["workspaces"]:
        for gateway in w["gateways"]:
            workspace_id, compute_id = w["workspaceId"], gateway["computeId"]
            for size in sizes:
                rows, total = by_number(sdk, workspace_id, compute_id, size)
                name = f"sessions of {compute_id} by {size}"
                check(f"{name}: total", (total, len(rows)), (gateway["listed"], gateway["listed"]))
                check(f"{name}: each once", len({row.session_id for row in rows}), total)
            sums = defaultdict(lambda: {"nanoCuHours": 0, "vcoreSeconds": 0, "mbSeconds": 0, "created": 0})
            ended = defaultdict(Counter)
            for row in rows:
                demand(row.compute_id == compute_id and row.info and row.web_ui, f"the texts of {row}")
                demand(isinstance(row.create_time, int) and "proxyUser" in json.loads(row.spark_conf), f"the types of {row}")
                # The shortest text of a double is what came on the wire: no digit is lost.
                nano = Decimal(repr(row.cu_hours)) * 10**9
                demand(nano == int(nano), f"nine decimals: {row.cu_hours!r}")
                queue = sums[row.queue]
                queue["nanoCuHours"] += int(nano)
                queue["vcoreSeconds"] += row.vcore_seconds
                queue["mbSeconds"] += row.mb_seconds
                queue["created"] += 1
                over = row.state in ("terminated", "error")
                demand(over or row.state in ("starting", "running", "terminating"), f"a known state: {row.state}")
                demand(not missing(row, () if over else ("end_time",)), f"every field: {row}")
                if over:
                    ended[row.queue][row.state] += 1
            expected = {q: {k: v for k, v in t.items() if k != "ended"} for q, t in gateway["queues"].items()}
            check(f"figures of {compute_id}", dict(sums), expected)
            states = {q: {s: n for s, n in t["ended"].items() if n} for q, t in gateway["queues"].items()}
            check("ends by state", {q: dict(ended[q]) for q in states}, states)
            beyond = m.ListLivyComputeSessionsRequest(page_num=1_000_000, page_size=100)
            body = sdk.list_livy_compute_sessions(workspace_id, compute_id, beyond).body
            check("a page beyond the end", (body.sessions, body.total_count), ([], total))
            for wrong in ({"page_num": 0}, {"page_size": 0}, {"page_size": 101}):
                request = m.ListLivyComputeSessionsRequest(**wrong)
                call = lambda: sdk.list_livy_compute_sessions(workspace_id, compute_id, request)  # noqa: E731,B023
                refused(f"{wrong}", call, "InvalidParameter", 400)
    request = m.ListLivyComputeSessionsRequest()
    call = lambda: sdk.list_livy_compute_sessions(workspace_id, "lc-none", request)  # noqa: E731
    refused("sessions of an unknown gateway", call, "LivyCompute.NotFound", 404)


def judge_life_cycle(sdk):
    workspace_id = truth()["workspaces"][0]["workspaceId"]
    wanted = {
        "name": "judge \"数据\"",
        "kind": "NOTEBOOK",
        "queueName": "dev_queue",
        "releaseVersion": "esr-4.3.0 (Spark 3.5.2, Scala 2.12)",
        "displayReleaseVersion": "esr-4.3.0",
        "fusion": True,
        "envId": "env-judge",
        "autoStartConfiguration": {"enable": True},
        "autoStopConfiguration": {"enable": True, "idleTimeoutMinutes": 30},
        "applicationConfigs": [
            {"configFileName": "spark-defaults.conf", "configItemKey": "spark.app.name", "configItemValue": "a b"}
        ],
        "publicEndpointEnabled": True,
    }

    def create(**changed):
        body = {k: v for k, v in {**wanted, **changed}.items() if v is not None}
        request = m.CreateSessionClusterRequest().from_map({**body, "regionId": REGION})
        return sdk.create_session_cluster(workspace_id, request).body.session_cluster_id

    def get(cluster_id):
        return sdk.get_session_cluster(workspace_id, cluster_id, m.GetSessionClusterRequest()).body.session_cluster

    def state():
        return get(cluster_id).state

    def start():
        request = m.StartSessionClusterRequest(session_cluster_id=cluster_id, queue_name="dev_queue", region_id=REGION)
        return sdk.start_session_cluster(workspace_id, request).body.session_cluster_id

    def stop():
        request = m.StopSessionClusterRequest(session_cluster_id=cluster_id, queue_name="dev_queue", region_id=REGION)
        return sdk.stop_session_cluster(workspace_id, request).body.session_cluster_id

    cluster_id = create(clientToken="once")
    check("the same token makes the same cluster", create(clientToken="once"), cluster_id)
    check("another token makes another", create(clientToken="twice") != cluster_id, True)
    made = get(cluster_id).to_map()
    check("it is what was asked for", {k: made[k] for k in wanted}, wanted)
    check("its times", (made["gmtCreate"], made["startTime"]), (truth()["now"],) * 2)
    listed = m.ListSessionClustersRequest(session_cluster_id=cluster_id)
    check("it is listed", sdk.list_session_clusters(workspace_id, listed).body.total_count, 1)
    check("it starts", state(), "Starting")
    refused("starting it again", start, "IncorrectStatus.SessionCluster", 409)
    advance(3600)
    check("it runs", state(), "Running")
    refused("starting it while it runs", start, "IncorrectStatus.SessionCluster", 409)
    check("stopping it", (stop(), state()), (cluster_id, "Stopping"))
    advance(3600)
    check("it has stopped", state(), "Stopped")
    refused("stopping it again", stop, "IncorrectStatus.SessionCluster", 409)
    check("starting it", (start(), state()), (cluster_id, "Starting"))
    advance(3600)
    check("it runs again", state(), "Running")
    check("since its last start", get(cluster_id).start_time, truth()["now"] - 3_600_000)
    for changed, code, status in (
        ({"kind": "PYTHON"}, "InvalidParameter", 400),
        ({"kind": "SQL"}, "InvalidParameter", 400),  # with an environment, which is for notebooks
        ({"name": None}, "MissingName", 400),
        ({"releaseVersion": "3.5.2"}, "InvalidParameter", 400),
        ({"queueName": "no_queue"}, "Queue.NotFound", 404),
        ({"autoStopConfiguration": {"enable": True, "idleTimeoutMinutes": 0}}, "InvalidParameter", 400),
        ({"fusion": "yes"}, "InvalidParameter", 400),
    ):
        refused(f"creating with {changed}", lambda: create(**changed), code, status)  # noqa: B023
    cluster_id = "sc-none"
    refused("starting an unknown one", start, "SessionCluster.NotFound", 404)
    refused("stopping an unknown one", stop, "SessionCluster.NotFound", 404)


def judge_keys():
    def listing(*key):
        return lambda: client(key).list_workspaces(m.ListWorkspacesRequest(region_id=REGION))

    check("an STS key", len(listing(*STS_KEY)().body.workspaces) > 0, True)
    refused("a wrong secret", listing(KEY[0], "wrong", None), "SignatureDoesNotMatch", 400)
    refused("an unknown key", listing("nobody", "x", None), "InvalidAccessKeyId.NotFound", 404)
    inactive = listing("sim-inactive-key-id", "sim-inactive-key-secret", None)
    refused("a disabled key", inactive, "InvalidAccessKeyId.Inactive", 400)
    refused("no token", listing(*STS_KEY[:2], None), "MissingSecurityToken", 400)
    refused("a wrong token", listing(*STS_KEY[:2], "other"), "InvalidSecurityToken.Malformed", 400)
    expired = listing("STS.sim-expired-id", "sim-expired-secret", "sim-expired-token")
    refused("an expired token", expired, "InvalidSecurityToken.Expired", 400)


def judge_faults(sdk):
    call = lambda: sdk.list_workspaces(m.ListWorkspacesRequest(region_id=REGION))  # noqa: E731
    control("POST", "faults", {"fault": "throttle", "next": 1, "millis": 1500})
    error = refused("throttled", call, "Throttling.User", 429, ThrottlingException)
    check("when to come back", error.retry_after, 1500)
    control("POST", "faults", {"fault": "throttle", "next": 1, "status": 400})
    refused("throttled with 400", call, "Throttling.Api", 400)
    control("POST", "faults", {"fault": "server_error", "next": 1, "status": 503})
    refused("unavailable", call, "ServiceUnavailable", 503)
    control("POST", "faults", {"fault": "denied", "next": 1})
    error = refused("denied", call, "Forbidden.RAM", 403)
    check("why", error.access_denied_detail["NoPermissionType"], "ImplicitDeny")
    control("POST", "faults", {"fault": "wrong_total", "rows": 5})
    total = call().body.total_count
    control("DELETE", "faults")
    check("a wrong total", total - call().body.total_count, 5)


def main():
    sdk = client()
    judge_keys()
    judge_workspaces(sdk)
    judge_queues(sdk)
    judge_clusters(sdk)
    judge_gateways(sdk)
    judge_sessions(sdk, (None, 7, 100))
    advance(7_200)
    judge_sessions(sdk, (100,))
    judge_life_cycle(sdk)
    judge_clusters(sdk)
    judge_sessions(client(STS_KEY), (100,))
    judge_faults(sdk)
    print(f"{checks} checks passed")


main()
