"""Fleet overview: what runs, what burns CUs now, what failed, what today costs."""

import kit
from kit import (GREEN, ORANGE, RED, YELLOW, in_scope, increase, lines, of_queue, of_target, own, rate, stat, table,
                 target, thresholds, total, with_names)

PRICE = kit.of_queue("livy_price_per_cu_hour")
ACTIVE = 'state=~"starting|running|terminating"'
CU = of_queue("livy_cu_seconds_total")


def cost(usage):
    """Usage in CU-seconds × the price that holds now."""
    return f"{usage} / 3600 * on (job, instance, workspace_id, queue) group_left (currency) {PRICE}"


def now():
    trouble = thresholds(GREEN, (RED, 1))
    return ("Now", [
        stat("Clusters running", "Session clusters in state Running.",
             total(in_scope(of_queue("session_clusters", 'state="Running"'))), size=(3, 4), links=[kit.CLUSTERS]),
        stat("Active Livy sessions", "Livy sessions that start, run or terminate.",
             total(in_scope(of_queue("livy_sessions", ACTIVE))), size=(3, 4), links=[kit.LIVY]),
        stat("CUs in use", "CUs that Livy sessions use, on average over the last minutes: CU-seconds a second.",
             total(in_scope(rate(CU))), decimals=1, size=(3, 4), links=[kit.LIVY]),
        stat("CU-hours today", "CU-hours of Livy sessions since midnight, an estimate of the service. Midnight is yours; a "
             "day of the bill begins at midnight in UTC+8.",
             total(in_scope(increase(CU) + " / 3600")), decimals=1, size=(3, 4), today=True, links=[kit.LIVY]),
        stat("Estimated cost today", "Usage since midnight × the price that holds now. The bill is the authority; nothing is "
             "shown without `pricing` in the exporter's settings.",
             total(in_scope("(" + cost(increase(CU)) + ")"), "currency"), legend="{{currency}}", decimals=2,
             size=(3, 4), today=True, links=[kit.LIVY]),
        stat("Clusters in Error", "Session clusters in state Error.",
             total(in_scope(of_queue("session_clusters", 'state="Error"'))), steps=trouble, size=(3, 4),
             links=[kit.CLUSTERS, kit.runbook("EmrSparkClusterError")]),
        stat("Failing targets", "Targets whose latest poll failed: what is shown of them is old.",
             f"sum({of_target('exporter_sweep_success')} == bool 0)", steps=trouble, size=(3, 4),
             links=[kit.EXPORTER, kit.runbook("EmrSparkSweepsFailing")]),
        stat("Alerts", "Alerts that fire now, of those that come with these dashboards; they are listed below.",
             'count(' + own("ALERTS", 'alertstate="firing"', 'alertname=~"EmrSpark.+"') + ") or vector(0)",
             steps=thresholds(GREEN, (YELLOW, 1), (RED, 5)), size=(3, 4)),
    ])


def runs():
    return ("What runs", [
        lines("Session clusters by state", "Session clusters in each state.",
              [target(total(in_scope(of_queue("session_clusters")), "state") + " > 0", "{{state}}")], stacked=True),
        lines("Active Livy sessions by workspace", "Livy sessions that start, run or terminate.",
              [target(total(in_scope(of_queue("livy_sessions", ACTIVE)), "workspace_name"), "{{workspace_name}}")],
              stacked=True),
    ])


def burns():
    largest = f"topk(20, {own('livy_session_cu_seconds')} / 3600)"
    named = with_names(largest, ["name", "queue", "state"], "livy_session_info", ["livy_compute_id", "session_id"])
    return ("What burns CUs", [
        lines("CUs in use by workspace", "CUs that Livy sessions use: CU-seconds a second.",
              [target(total(in_scope(rate(CU)), "workspace_name"), "{{workspace_name}}")], stacked=True),
        table("Largest active sessions", "Active Livy sessions by the CU-hours they have used so far.",
              {"CU-hours": in_scope(named)},
              {"workspace_name": "Workspace", "queue": "Queue", "name": "Session", "session_id": "Id", "state": "State"},
              decimals=1, steps=thresholds(GREEN, (ORANGE, 24), (RED, 100)),
              links=[kit.LIVY, kit.runbook("EmrSparkLivySessionRunaway")]),
        kit.bars("CU-hours today by workspace", "CU-hours of Livy sessions since midnight.",
                 total(in_scope(increase(CU) + " / 3600"), "workspace_name"), "{{workspace_name}}", size=(12, 7),
                 today=True),
        kit.bars("Estimated cost today by workspace", "Usage since midnight × the price that holds now: an estimate.",
                 total(in_scope("(" + cost(increase(CU)) + ")"), "workspace_name", "currency"),
                 "{{workspace_name}} ({{currency}})", size=(12, 7), today=True, decimals=2),
    ])


def failed():
    failure = with_names(own("session_cluster_failure_info"), ["name", "kind", "queue"], "session_cluster_info",
                         ["session_cluster_id"])
    ended = increase(of_queue("livy_sessions_ended_total", 'state="error"'))
    alerts = own("ALERTS", 'alertstate="firing"', 'alertname=~"EmrSpark.+"')
    return ("What failed", [
        table("Clusters in Error and why", "Session clusters in state Error, with the code of the reason.",
              {"In Error": in_scope(failure)},
              {"workspace_name": "Workspace", "name": "Cluster", "kind": "Kind", "queue": "Queue", "code": "Code"},
              links=[kit.CLUSTERS, kit.runbook("EmrSparkClusterError")], size=(12, 7)),
        kit.bars("Livy sessions that ended in error", "In the chosen range of time, by workspace and queue.",
                 total(in_scope(ended), "workspace_name", "queue"), "{{workspace_name}} {{queue}}", size=(12, 7),
                 decimals=0),
        table("Firing alerts", "Alerts that come with these dashboards; each one's name leads to its runbook.",
              {"Firing": alerts},
              {"severity": "Severity", "alertname": "Alert", "account": "Account", "workspace_id": "Workspace",
               "livy_compute_id": "Gateway", "name": "Name", "reason": "Reason"},
              cell_links={"Alert": kit.runbook("${__data.fields.Alert}")}, size=(24, 7)),
    ])


def dashboard():
    return kit.dashboard("emr-spark-fleet", "EMR Serverless Spark / Fleet overview",
                         "What runs, what burns CUs now, what failed, what today costs.",
                         [now(), runs(), burns(), failed()], "now-6h")
