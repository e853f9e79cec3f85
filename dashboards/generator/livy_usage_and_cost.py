"""Livy usage and cost: CU-hours, vcore-hours and memory by workspace, gateway and queue; sessions; price × usage."""

import kit
from fleet_overview import ACTIVE, CU, cost
from kit import (GREEN, ORANGE, RED, bars, in_scope, increase, lines, of_queue, own, rate, stat, table, target,
                 thresholds, total, with_names)

VCORE = of_queue("livy_vcore_seconds_total")
MEMORY = of_queue("livy_memory_byte_seconds_total")
ESTIMATED = "Usage × price: an estimate; the bill is the authority."


def by_gateway(expression):
    return with_names(expression, ["name"], "livy_gateway_info", ["livy_compute_id"])


def usage():
    gateway = in_scope(by_gateway(total(increase(CU), "job", "instance", "workspace_id", "livy_compute_id") + " / 3600"))

    def of_each(series, unit):
        return total(in_scope(by_gateway(f"{increase(series)} / {unit}")), "workspace_name", "name", "queue")

    return ("Usage in the chosen range", [
        stat("CU-hours", "CU-hours of Livy sessions, an estimate of the service.",
             total(in_scope(increase(CU) + " / 3600")), decimals=1),
        stat("Vcore-hours", "Allocated vcores × hours.", total(in_scope(increase(VCORE) + " / 3600")), decimals=1),
        stat("Memory, in GiB-hours", "Allocated memory × hours.",
             total(in_scope(increase(MEMORY) + " / 3600 / 2 ^ 30")), decimals=1),
        stat("Sessions created", "Livy sessions that came into being.",
             total(in_scope(increase(of_queue("livy_sessions_created_total")))), decimals=0),
        stat("Ended in error", "Share of the sessions that ended.",
             total(in_scope(increase(of_queue("livy_sessions_ended_total", 'state="error"')))) + " / "
             + total(in_scope(increase(of_queue("livy_sessions_ended_total")))), unit="percentunit", decimals=1,
             steps=thresholds(GREEN, (ORANGE, 0.1), (RED, 0.2)), links=[kit.runbook("EmrSparkLivyErrorRatio")]),
        stat("Active sessions", "Livy sessions that start, run or terminate.",
             total(in_scope(of_queue("livy_sessions", ACTIVE)))),
        bars("CU-hours by workspace", "In the chosen range of time.",
             total(in_scope(increase(CU) + " / 3600"), "workspace_name"), "{{workspace_name}}"),
        bars("CU-hours by gateway", "In the chosen range of time.", f"sum by (workspace_name, name) ({gateway})",
             "{{workspace_name}} / {{name}}"),
        bars("CU-hours by queue", "In the chosen range of time.",
             total(in_scope(increase(CU) + " / 3600"), "workspace_name", "queue"), "{{workspace_name}} / {{queue}}"),
        table("All three figures", "In the chosen range of time, by workspace, gateway and queue.",
              {"CU-hours": of_each(CU, "3600"), "Vcore-hours": of_each(VCORE, "3600"),
               "GiB-hours": of_each(MEMORY, "3600 / 2 ^ 30")},
              {"workspace_name": "Workspace", "name": "Gateway", "queue": "Queue"}, decimals=1, size=(24, 8)),
    ])


def over_time():
    def by_workspace(expression):
        return target(total(in_scope(expression), "workspace_name", "queue"), "{{workspace_name}} / {{queue}}")

    return ("Usage over time", [
        lines("CUs in use", "CU-seconds a second.", [by_workspace(rate(CU))], stacked=True, size=(8, 8)),
        lines("Vcores in use", "Vcore-seconds a second.", [by_workspace(rate(VCORE))], stacked=True, size=(8, 8)),
        lines("Memory in use", "Byte-seconds a second.", [by_workspace(rate(MEMORY))], unit="bytes", stacked=True,
              size=(8, 8)),
        lines("CU-hours of the last 24 hours", "At each moment, the CU-hours of the 24 hours before it.",
              [target(total(in_scope(of_queue("livy_queue:emr_serverless_spark_livy_cu_hours:increase1d")),
                            "workspace_name"), "{{workspace_name}}")], stacked=True),
        lines("Taken back by the service", "CU-hours that were counted and that the service revised downwards later. "
              "Counters never fall: subtract this for the corrected total.",
              [target(total(in_scope(of_queue("livy_overcounted_cu_seconds") + " / 3600"), "workspace_name"),
                      "{{workspace_name}}")]),
    ])


def costs():
    daily = "livy_queue:emr_serverless_spark_livy_estimated_cost:increase1d"
    burn = "exporter:emr_serverless_spark_livy_budget_burn:"
    return ("Estimated cost", [
        stat("In the chosen range", ESTIMATED + " At the prices that hold now.",
             total(in_scope("(" + cost(increase(CU)) + ")"), "currency"), legend="{{currency}}", decimals=2, size=(4, 8)),
        bars("By workspace and queue", ESTIMATED + " At the prices that hold now.",
             total(in_scope("(" + cost(increase(CU)) + ")"), "workspace_name", "queue", "currency"),
             "{{workspace_name}} / {{queue}} ({{currency}})", decimals=2),
        lines("Of the last 24 hours", ESTIMATED + " At each moment, the cost of the 24 hours before it, at the price of "
              "that moment.",
              [target(total(in_scope(of_queue(daily)), "workspace_name", "currency"), "{{workspace_name}} ({{currency}})")],
              stacked=True),
        lines("Budget burn", "1 spends the monthly budget in exactly 30 days. Nothing is shown without "
              "`pricing.monthly_budget`.",
              [target(own(burn + window), legend) for window, legend in
               [("ratio1h", "last hour"), ("ratio6h", "last 6 hours"), ("ratio3d", "last 3 days")]],
              steps=thresholds(GREEN, (ORANGE, 1.2), (RED, 6)),
              links=[kit.runbook("EmrSparkBudgetBurnFast"), kit.runbook("EmrSparkBudgetBurnSlow")]),
        table("Prices", "Prices of a CU-hour that hold now, as set in the exporter's settings.",
              {"Price": in_scope(of_queue("livy_price_per_cu_hour"))},
              {"workspace_name": "Workspace", "queue": "Queue", "currency": "Currency"}, decimals=4),
    ])


def sessions():
    duration = "livy_gateway:emr_serverless_spark_livy_session_duration_seconds:"
    largest = with_names(f"topk(50, {own('livy_session_cu_seconds')} / 3600)", ["name", "queue", "state"],
                         "livy_session_info", ["livy_compute_id", "session_id"])
    gateway = "(job, instance, workspace_id, livy_compute_id)"
    running, in_use = own("livy_gateway_state", 'state="Running"'), own("livy_sessions", ACTIVE)
    unused = (f"(time() - {own('livy_gateway_start_timestamp_seconds')}) "
              f"and on {gateway} {running} == 1 "
              f"unless on {gateway} (sum by {gateway} (max_over_time({in_use}[1h])) > 0)")
    created = increase(of_queue("livy_sessions_created_total"), "$__rate_interval")
    ended = increase(of_queue("livy_sessions_ended_total"), "$__rate_interval")
    return ("Sessions", [
        table("Top active sessions", "Active Livy sessions by the CU-hours that they have used so far.",
              {"CU-hours": in_scope(largest)},
              {"workspace_name": "Workspace", "queue": "Queue", "name": "Session", "session_id": "Id", "state": "State"},
              decimals=1, size=(24, 9), steps=thresholds(GREEN, (ORANGE, 24), (RED, 100)),
              links=[kit.runbook("EmrSparkLivySessionRunaway"), kit.runbook("EmrSparkLivySessionStuck")]),
        table("Gateways without sessions", "Livy gateways that run and have had no active session for an hour: they hold "
              "CUs of their own.",
              {"Running for": in_scope(with_names(unused, ["name", "queue", "created_by"], "livy_gateway_info",
                                                  ["livy_compute_id"]))},
              {"workspace_name": "Workspace", "name": "Gateway", "queue": "Queue", "created_by": "User"}, unit="s",
              steps=thresholds(GREEN, (ORANGE, 43200), (RED, 86400)), links=[kit.runbook("EmrSparkLivyGatewayIdle")]),
        lines("Created and ended", "Livy sessions that came into being, and that ended, by state.",
              [target(total(in_scope(created)), "created"), target(total(in_scope(ended), "state"), "{{state}}")],
              bars=True),
        lines("Sessions by state", "Livy sessions that start, run or terminate.",
              [target(total(in_scope(of_queue("livy_sessions", ACTIVE)), "state"), "{{state}}")], stacked=True),
        lines("Session durations", "From createTime to endTime, of the sessions that ended in the last 24 hours.",
              [target(f"max by (workspace_name, name) ({in_scope(by_gateway(own(duration + quantile)))})",
                      "{{workspace_name}} / {{name}} " + word)
               for quantile, word in [("p50_1d", "median"), ("p95_1d", "95 %")]], unit="s"),
        kit.heatmap("Sessions by duration", "How many of the sessions that ended took how long.",
                    total(in_scope(increase(own("livy_session_duration_seconds_bucket"), "$__rate_interval")), "le"), "s"),
    ])


def dashboard():
    return kit.dashboard("emr-spark-livy", "EMR Serverless Spark / Livy usage and cost",
                         "CU-hours, vcore-hours and memory by workspace, gateway and queue; sessions; price × usage.",
                         [usage(), over_time(), costs(), sessions()], "now-24h")
