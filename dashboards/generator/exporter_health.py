"""Exporter health: are the polls well and fresh, how is the service's patience, how is the ledger."""

import kit
from kit import (GREEN, ORANGE, RED, increase, lines, of_target, own, rate, stat, table, target, thresholds, total)

TARGET = {"target": "Target", "account": "Account", "region": "Region", "workspace_name": "Workspace",
          "workspace_id": "Its id", "livy_compute_id": "Gateway"}
FRESH = "exporter_sweep_last_success_timestamp_seconds"
GOOD = thresholds(RED, (GREEN, 1))
SMALL = (3, 4)


def words(bad, good):
    """What 0 and 1 mean."""
    return kit.mapping([(0, bad, RED), (1, good, GREEN)])


def now():
    trouble = thresholds(GREEN, (RED, 1))
    return ("Now", [
        stat("Exporter", "Whether Prometheus reaches it.", f"min({own('up')})", mappings=words("down", "up"), steps=GOOD,
             size=SMALL, links=[kit.runbook("EmrSparkExporterDown")]),
        stat("Targets", "What is polled: workspaces, session clusters, Livy gateways, session histories.",
             f"count({of_target('exporter_sweep_success')})", size=SMALL),
        stat("Failing targets", "Targets whose latest poll failed.",
             f"sum({of_target('exporter_sweep_success')} == bool 0)", steps=trouble, size=SMALL,
             links=[kit.runbook("EmrSparkSweepsFailing"), kit.runbook("EmrSparkCredentialsRejected")]),
        stat("Oldest news", "Age of the latest complete poll of the target that lags behind most.",
             f"max(time() - {of_target(FRESH)})", unit="s", steps=thresholds(GREEN, (ORANGE, 900), (RED, 1800)),
             size=SMALL, links=[kit.runbook("EmrSparkTargetStale")]),
        stat("Settings", "Whether the settings were good when they were last read.",
             f"min({own('exporter_config_last_reload_successful')})", mappings=words("refused", "good"), steps=GOOD,
             size=SMALL, links=[kit.runbook("EmrSparkConfigReloadFailed")]),
        stat("Await a restart", "Settings that were changed and take effect at a restart only.",
             f"sum({own('exporter_config_keys_awaiting_restart')})", steps=thresholds(GREEN, (ORANGE, 1)), size=SMALL,
             links=[kit.runbook("EmrSparkConfigAwaitingRestart")]),
        stat("Web configuration", "Whether the file with TLS and users was good when it was last read; good without one.",
             f"min({own('exporter_web_config_last_reload_successful')})", mappings=words("refused", "good"), steps=GOOD,
             size=SMALL, links=[kit.runbook("EmrSparkWebConfigRefused")]),
        stat("Version", "The running version.", f"count by (version) ({own('exporter_build_info')})",
             legend="{{version}}", size=SMALL, name=True),
    ])


def sweeps():
    duration = total(rate(own("exporter_sweep_duration_seconds_bucket")), "target", "le")
    # With the names of workspaces, where they are known.
    failing = of_target("exporter_sweep_failure_info")
    named = (f"{failing} * on (job, instance, workspace_id) group_left (workspace_name) {own('workspace_info')} "
             f"or on (job, instance, target, account, region, workspace_id, livy_compute_id) {failing}")
    return ("Sweeps and freshness", [
        table("Failing targets and why", "Each with its reason, which leads to what it means.", {"Failing": named},
              {**TARGET, "reason": "Reason"}, cell_links={"Reason": kit.reason("${__data.fields.Reason}")},
              links=[kit.runbook("EmrSparkSweepsFailing")]),
        lines("Age of the news", "Time since the latest complete poll, of the target of each kind that lags behind most.",
              [target(f"max by (target) (time() - {of_target(FRESH)})", "{{target}}")], unit="s",
              steps=thresholds(GREEN, (RED, 1800)), links=[kit.runbook("EmrSparkTargetStale")]),
        lines("Failed sweeps", "By reason.",
              [target(total(increase(own("exporter_sweep_failures_total"), "$__rate_interval"), "target", "reason")
                      + " > 0", "{{target}}: {{reason}}")], bars=True, stacked=True),
        lines("Duration of sweeps", "95 of 100 sweeps were no longer.",
              [target(f"histogram_quantile(0.95, {duration}) >= 0", "{{target}}")], unit="s"),
        lines("Pages read", "Pages a second.", [target(total(rate(own("exporter_sweep_pages_total")), "target"),
                                                       "{{target}}")], unit="cps", size=(8, 7)),
        lines("Running sweeps", "How far those sweeps have come that run now.",
              [target(f"min by (target) ({of_target('exporter_sweep_progress_ratio')})", "{{target}}")],
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
    expiry = own("exporter_credentials_expiry_timestamp_seconds", 'account=~"$account"')
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
              "down.", [target(of_target("exporter_api_allowed_requests_per_second"), "{{account}} {{region}}")],
              unit="reqps", size=(6, 7)),
        lines("Open circuits", "What the service refuses and is only probed.",
              [target(of_target("exporter_api_open_circuits"), "{{account}} {{region}}: {{reason}}")], size=(6, 7),
              links=[kit.runbook("EmrSparkCredentialsRejected")]),
        lines("Keys expire in", "Time until the temporary keys in use expire; nothing for keys that do not.",
              [target(f"{expiry} - time()", "{{account}}")],
              unit="s", steps=thresholds(RED, (ORANGE, 600), (GREEN, 900)), low=None, size=(6, 7),
              links=[kit.runbook("EmrSparkCredentialsExpiring")]),
        lines("Clock offset", "How far the service's clock is ahead of this machine's.",
              [target(of_target("exporter_clock_offset_seconds"), "{{account}} {{region}}")], unit="s", low=None,
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
             decimals=0, links=[kit.runbook("EmrSparkLedgerBackupFailing")]),
        lines("Commits", "95 of 100 transactions were on disk in this time.",
              [target(f"histogram_quantile(0.95, {commit}) >= 0", "95 %")], unit="s"),
        lines("Growth", "Sessions that the ledger holds, and those that it let go of one by one.",
              [target(f"sum({own('exporter_ledger_sessions')})", "held"),
               target(f"sum({increase(own('exporter_ledger_pruned_sessions_total'), '$__rate_interval')})", "pruned")]),
    ])


def process():
    def cut(name, label, legend):
        return target(total(increase(own(name), "$__rate_interval"), *([label] if label else [])) + " > 0", legend)

    files = f"{own('process_open_fds')} / {own('process_max_fds')}"
    return ("Process", [
        lines("CPU", "Cores in use.", [target(rate(own("process_cpu_seconds_total")), "{{instance}}")], size=(8, 7)),
        lines("Memory", "Resident memory.", [target(own("process_resident_memory_bytes"), "{{instance}}")], unit="bytes",
              size=(8, 7)),
        lines("Open files", "Share of the files and connections that it may have open.",
              [target(files, "{{instance}}")], unit="percentunit", steps=thresholds(GREEN, (RED, 0.8)), size=(8, 7)),
        lines("Age of the page", "Time since the page was last rendered.",
              [target(own("exporter_snapshot_age_seconds"), "{{instance}}")], unit="s", size=(8, 7)),
        lines("Cut by limits", "Series, fields and texts that were left out or cut.",
              [cut("exporter_dropped_series_total", "family", "series of {{family}}"),
               cut("exporter_malformed_fields_total", "field", "field {{field}}"),
               cut("exporter_cut_labels_total", None, "texts")], bars=True, size=(8, 7)),
        lines("Refused clients", "Connections and requests that the exporter's own web server refused or cut, by reason.",
              [cut("exporter_http_rejections_total", "reason", "{{reason}}")], bars=True, size=(8, 7)),
    ])


def dashboard():
    return kit.dashboard("emr-spark-exporter", "EMR Serverless Spark / Exporter health",
                         "Sweeps, freshness, API calls, throttling, ledger, settings.",
                         [now(), sweeps(), service(), ledger(), process()], "now-6h", with_resources=False)
