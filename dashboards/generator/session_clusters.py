"""Session clusters: states over time, starts, failures, what runs on unattended, what is open to the Internet."""

import kit
from kit import (BLUE, GREEN, GREY, ORANGE, RED, YELLOW, in_scope, increase, lines, of_queue, own, stat, table, target,
                 thresholds, total, with_names)

STATES = [("Starting", YELLOW), ("Running", GREEN), ("Stopping", ORANGE), ("Stopped", GREY), ("Error", RED),
          ("unknown", BLUE)]
CLUSTER = "workspace_id, session_cluster_id"
ATTRIBUTES = {"workspace_name": "Workspace", "name": "Cluster", "kind": "Kind", "queue": "Queue", "user_name": "User"}

# Zero where clusters are known, and nothing where they are not.
NONE = "0 * " + total(in_scope(of_queue("session_clusters")))


def named(expression):
    """With the attributes of the cluster, in the queues that are chosen."""
    info = of_queue("session_cluster_info")
    joined = (f"({expression}) * on (job, instance, workspace_id, session_cluster_id) "
              f"group_left (name, kind, queue, user_name) {info}")
    return in_scope(joined)


def running():
    return own("session_cluster_state", 'state="Running"') + " == 1"


def unattended():
    return (f"(time() - {own('session_cluster_start_timestamp_seconds')}) "
            f"and on (job, instance, {CLUSTER}) {running()} "
            f"unless on (job, instance, {CLUSTER}) {own('session_cluster_auto_stop_timeout_seconds')}")


def now():
    trouble = thresholds(GREEN, (RED, 1))

    def count(state, steps=None, links=None):
        return stat(state, f"Session clusters in state {state}.",
                    total(in_scope(of_queue("session_clusters", f'state="{state}"'))), steps=steps, links=links)

    return ("Now", [
        count("Running"),
        count("Starting", links=[kit.runbook("EmrSparkClusterStuck")]),
        count("Stopped"),
        count("Error", trouble, [kit.runbook("EmrSparkClusterError")]),
        stat("Without auto-stop", "Clusters that run and would not stop by themselves.",
             f"count({named(unattended())}) or {NONE}", steps=thresholds(GREEN, (ORANGE, 1)),
             links=[kit.runbook("EmrSparkClusterWithoutAutoStop")]),
        stat("Open to the Internet", "Clusters with a public endpoint.",
             f"count({named(own('session_cluster_public_endpoint_enabled') + ' == 1')}) or {NONE}",
             steps=thresholds(GREEN, (ORANGE, 1)), links=[kit.runbook("EmrSparkClusterPublicEndpoint")]),
    ])


def states():
    numbers = " or ".join(f"{own('session_cluster_state', f'state={chr(34)}{state}{chr(34)}')} * {i}"
                          for i, (state, _) in enumerate(STATES, 1))
    shown = f"max by (job, instance, {CLUSTER}) ({numbers})"
    values = [(i, state, color) for i, (state, color) in enumerate(STATES, 1)]
    changes = increase(own("session_cluster_state_changes_total"), "$__rate_interval")
    return ("States", [
        kit.timeline("States over time", "The state of each session cluster, as polled.",
                     f"max by (workspace_name, kind, name, session_cluster_id) ({named(shown)})",
                     "{{workspace_name}} / {{name}} ({{kind}})", values),
        lines("Clusters by kind", "Session clusters that run.",
              [target(total(in_scope(of_queue("session_clusters", 'state="Running"')), "kind"), "{{kind}}")],
              stacked=True),
        lines("Changes of state", "Changes into each state, as two successive polls saw them.",
              [target(total(in_scope(changes), "state") + " > 0", "{{state}}")], bars=True, stacked=True),
    ])


def starts():
    quantile = "kind:emr_serverless_spark_session_cluster_start_duration_seconds:"
    buckets = increase(own("session_cluster_start_duration_seconds_bucket"), "$__rate_interval")
    return ("Starts", [
        lines("Time to start", "From Starting to Running, over the last 24 hours, as fine as the polling interval; above the "
              "line the start took more than five minutes.",
              [target(f"max by (kind, workspace_name) ({in_scope(own(quantile + 'p50_1d'))})",
                      "{{workspace_name}} {{kind}} median"),
               target(f"max by (kind, workspace_name) ({in_scope(own(quantile + 'p95_1d'))})",
                      "{{workspace_name}} {{kind}} 95 %")],
              unit="s", steps=thresholds(GREEN, (ORANGE, 300)), links=[kit.runbook("EmrSparkClusterStartSlow")]),
        kit.heatmap("Starts by duration", "How many clusters took how long from Starting to Running.",
                    total(in_scope(buckets), "le"), "s"),
    ])


def look():
    failure = own("session_cluster_failure_info")
    return ("To look at", [
        table("Which are in Error", "Clusters in state Error, with the code of the reason.",
              {"In Error": named(failure)}, {**ATTRIBUTES, "code": "Code"}, links=[kit.runbook("EmrSparkClusterError")]),
        table("Run on without auto-stop", "Clusters that run and would not stop by themselves, and for how long they "
              "have. Whether they are used, the API does not tell.", {"Running for": named(unattended())}, ATTRIBUTES,
              unit="s", steps=thresholds(GREEN, (ORANGE, 43200), (RED, 86400)),
              links=[kit.runbook("EmrSparkClusterWithoutAutoStop")]),
        table("Which are open to the Internet", "Clusters with a public endpoint.",
              {"Public": named(own("session_cluster_public_endpoint_enabled") + " == 1")}, ATTRIBUTES,
              links=[kit.runbook("EmrSparkClusterPublicEndpoint")]),
        table("Which run", "Clusters that run, and for how long.",
              {"Running for": named(f"(time() - {own('session_cluster_start_timestamp_seconds')}) "
                                    f"and on (job, instance, {CLUSTER}) {running()}")}, ATTRIBUTES, unit="s"),
    ])


def dashboard():
    return kit.dashboard("emr-spark-clusters", "EMR Serverless Spark / Session clusters",
                         "States over time, starts, failures, what runs on unattended, what is open to the Internet.",
                         [now(), states(), starts(), look()], "now-24h")
