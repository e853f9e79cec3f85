"""Exporter health: are the polls well and fresh, how is the service's patience, how is the ledger."""

import kit
from kit import (GREEN, ORANGE, RED, increase, lines, own, rate, stat, table, target, thresholds, total)

TARGET = {"target": "Target", "account": "Account", "region": "Region", "workspace_id": "Workspace",
          "livy_compute_id": "Gateway"}
OF_TARGET = ('account=~"$account"', 'region=~"$region"')
FRESH = "exporter_sweep_last_success_timestamp_seconds"
UP = [{"type": "value", "options": {"0": {"color": RED, "index": 0, "text": "down"},
                                    "1": {"color": GREEN, "index": 1, "text": "up"}}}]


def now():
    trouble = thresholds(GREEN, (RED, 1))
    return ("Now", [
        stat("Exporter", "Whether Prometheus reaches it.", f"min({own('up')})", mappings=UP,
             steps=thresholds(RED, (GREEN, 1)), links=[kit.runbook("EmrSparkExporterDown")]),
        stat("Targets", "What is polled: workspaces, session clusters, Livy gateways, session histories.",
             f"count({own('exporter_sweep_success', *OF_TARGET)})"),
        stat("Failing targets", "Targets whose latest poll failed.",
             f"count({own('exporter_sweep_success', *OF_TARGET)} == 0) or vector(0)", steps=trouble,
             links=[kit.runbook("EmrSparkSweepsFailing"), kit.runbook("EmrSparkCredentialsRejected")]),
        stat("Oldest news", "Age of the latest complete poll of the target that lags behind most.",
             f"max(time() - {own(FRESH, *OF_TARGET)})", unit="s", steps=thresholds(GREEN, (ORANGE, 900), (RED, 1800)),
             links=[kit.runbook("EmrSparkTargetStale")]),
        stat("Settings", "Whether the settings were good when they were last read.",
             f"min({own('exporter_config_last_reload_successful')})", steps=thresholds(RED, (GREEN, 1)),
             mappings=[{"type": "value", "options": {"0": {"color": RED, "index": 0, "text": "refused"},
                                                     "1": {"color": GREEN, "index": 1, "text": "good"}}}],
             links=[kit.runbook("EmrSparkConfigReloadFailed")]),
        stat("Version", "The running version.", f"count by (version) ({own('exporter_build_info')})",
             legend="{{version}}"),
    ])


def sweeps():
    duration = total(rate(own("exporter_sweep_duration_seconds_bucket")), "target", "le")
    return ("Sweeps and freshness", [
        table("Failing targets and why", "Each with its reason; troubleshooting.md has a section for each.",
              own("exporter_sweep_failure_info", *OF_TARGET), {**TARGET, "reason": "Reason"}, value="Failing",
              links=[kit.runbook("EmrSparkSweepsFailing")]),
        lines("Age of the news", "Time since the latest complete poll, of the target of each kind that lags behind most.",
              [target(f"max by (target) (time() - {own(FRESH, *OF_TARGET)})", "{{target}}")], unit="s",
              steps=thresholds(GREEN, (RED, 1800)), links=[kit.runbook("EmrSparkTargetStale")]),
        lines("Failed sweeps", "By reason.",
              [target(total(increase(own("exporter_sweep_failures_total"), "$__rate_interval"), "target", "reason")
                      + " > 0", "{{target}}: {{reason}}")], bars=True, stacked=True),
        lines("Duration of sweeps", "95 of 100 sweeps were no longer.",
              [target(f"histogram_quantile(0.95, {duration}) >= 0", "{{target}}")], unit="s"),
        lines("Pages read", "Pages a second.", [target(total(rate(own("exporter_sweep_pages_total")), "target"),
                                                       "{{target}}")], unit="cps", size=(8, 7)),
        lines("Running sweeps", "How far those sweeps have come that run now.",
              [target(f"min by (target) ({own('exporter_sweep_progress_ratio', *OF_TARGET)})", "{{target}}")],
              unit="percentunit", size=(8, 7)),
        lines("Restarts and surprises", "Passes that began again because the list moved, and polls of parts of a history "
              "that gave way to a full sweep.",
              [target(total(increase(own("exporter_sweep_restarts_total"), "$__rate_interval"), "target"),
                      "restarts {{target}}"),
               target(total(increase(own("exporter_sweep_surprises_total"), "$__rate_interval")), "surprises"),
               target(total(increase(own("exporter_full_sweeps_total"), "$__rate_interval")), "full sweeps")],
              size=(8, 7)),
    ])


def service():
    duration = total(rate(own("exporter_api_request_duration_seconds_bucket")), "action", "le")
    return ("API calls and throttling", [
        lines("Requests", "Attempts a second, by how they ended.",
              [target(total(rate(own("exporter_api_requests_total")), "outcome") + " > 0", "{{outcome}}")], unit="reqps",
              stacked=True, size=(8, 8)),
        lines("Latency", "95 of 100 requests were no longer.",
              [target(f"histogram_quantile(0.95, {duration}) >= 0", "{{action}}")], unit="s", size=(8, 8)),
        lines("Throttled", "Requests that the service answered with a plea to slow down.",
              [target(total(rate(own("exporter_api_throttled_total")), "action"), "{{action}}")], unit="reqps",
              size=(8, 8), links=[kit.runbook("EmrSparkThrottled")]),
        lines("Allowed requests", "Requests a second that may start: less than configured while the service asks to slow "
              "down.", [target(own("exporter_api_allowed_requests_per_second", *OF_TARGET), "{{account}} {{region}}")],
              unit="reqps", size=(6, 7)),
        lines("Open circuits", "What the service refuses and is only probed.",
              [target(own("exporter_api_open_circuits", *OF_TARGET), "{{account}} {{region}}: {{reason}}")], size=(6, 7),
              links=[kit.runbook("EmrSparkCredentialsRejected")]),
        lines("Keys expire in", "Time until the temporary keys in use expire; nothing for keys that do not.",
              [target(f"{own('exporter_credentials_expiry_timestamp_seconds', OF_TARGET[0])} - time()", "{{account}}")],
              unit="s", steps=thresholds(RED, (ORANGE, 600), (GREEN, 900)), low=None, size=(6, 7),
              links=[kit.runbook("EmrSparkCredentialsExpiring")]),
        lines("Clock offset", "How far the service's clock is ahead of this machine's.",
              [target(own("exporter_clock_offset_seconds", *OF_TARGET), "{{account}} {{region}}")], unit="s", low=None,
              size=(6, 7)),
    ])


def ledger():
    commit = f"sum by (le) ({rate(own('exporter_ledger_commit_duration_seconds_bucket'))})"
    available, size = own("exporter_ledger_filesystem_available_bytes"), own("exporter_ledger_filesystem_size_bytes")
    return ("Ledger", [
        stat("Sessions", "Livy sessions that the ledger holds.", f"sum({own('exporter_ledger_sessions')})"),
        stat("Size", "Of its file and log.", f"sum({own('exporter_ledger_size_bytes')})", unit="bytes"),
        stat("Disk free", "Share of the file system with the ledger that may still be written.",
             f"min({available} / {size})", unit="percentunit", decimals=0,
             steps=thresholds(RED, (ORANGE, 0.1), (GREEN, 0.2)), links=[kit.runbook("EmrSparkLedgerDiskNearlyFull")]),
        stat("Latest backup", "Age of the latest automatic backup; nothing before the first one.",
             f"max(time() - ({own('exporter_ledger_last_backup_timestamp_seconds')} > 0))", unit="s"),
        stat("Failed commits", "In the chosen range of time.",
             f"sum({increase(own('exporter_ledger_commit_failures_total'))})", steps=thresholds(GREEN, (RED, 1)),
             decimals=0, links=[kit.runbook("EmrSparkLedgerFailing")]),
        stat("Failed backups", "In the chosen range of time.",
             f"sum({increase(own('exporter_ledger_backup_failures_total'))})", steps=thresholds(GREEN, (ORANGE, 1)),
             decimals=0),
        lines("Commits", "95 of 100 transactions were on disk in this time.",
              [target(f"histogram_quantile(0.95, {commit}) >= 0", "95 %")], unit="s"),
        lines("Growth", "Sessions that the ledger holds, and those that it let go of one by one.",
              [target(f"sum({own('exporter_ledger_sessions')})", "held"),
               target(f"sum({increase(own('exporter_ledger_pruned_sessions_total'), '$__rate_interval')})", "pruned")]),
    ])


def process():
    def cut(name, label, legend):
        return target(total(increase(own(name), "$__rate_interval"), *([label] if label else [])) + " > 0", legend)

    return ("Process", [
        lines("CPU", "Cores in use.", [target(rate(own("process_cpu_seconds_total")), "{{instance}}")], size=(6, 7)),
        lines("Memory", "Resident memory.", [target(own("process_resident_memory_bytes"), "{{instance}}")], unit="bytes",
              size=(6, 7)),
        lines("Age of the page", "Time since the page was last rendered.",
              [target(own("exporter_snapshot_age_seconds"), "{{instance}}")], unit="s", size=(6, 7)),
        lines("Cut by limits", "Series, texts, fields and clients that were left out.",
              [cut("exporter_dropped_series_total", "family", "series of {{family}}"),
               cut("exporter_malformed_fields_total", "field", "field {{field}}"),
               cut("exporter_cut_labels_total", None, "texts"),
               cut("exporter_http_rejections_total", "reason", "clients: {{reason}}")], size=(6, 7)),
    ])


def dashboard():
    return kit.dashboard("emr-spark-exporter", "EMR Serverless Spark / Exporter health",
                         "Sweeps, freshness, API calls, throttling, ledger.",
                         [now(), sweeps(), service(), ledger(), process()], "now-6h", with_queue=False)
