"""What the dashboards are built of: selectors, panels, the grid, variables, links.

Everything is a pure function of its arguments, so that the files come out the same on any machine.
"""

PREFIX = "emr_serverless_spark_"
# Served by the exporter itself; its address comes from a hidden variable.
DOCUMENTATION = "http://${exporter}/-/docs"
RUNBOOKS = DOCUMENTATION + "/runbooks"
TAG = "emr-serverless-spark"
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}

WIDTH = 24
GREEN, YELLOW, ORANGE, RED, BLUE, GREY = "green", "yellow", "orange", "red", "blue", "#808080"


# Queries

def own(name, *matchers):
    """A series of the exporters that are chosen; a name with a colon is a recorded one."""
    full = name if ":" in name or name.startswith(("up", "process_", "ALERTS")) else PREFIX + name
    return full + "{" + ", ".join(['job=~"$job"', 'instance=~"$instance"', *matchers]) + "}"


def of_queue(name, *matchers):
    """A series with the label `queue`, of the queues that are chosen."""
    return own(name, 'queue=~"$queue"', *matchers)


WORKSPACE = own("workspace_info", 'account=~"$account"', 'region=~"$region"', 'workspace_name=~"$workspace"')


def of_target(name, *matchers):
    """A series about targets, of the accounts and regions that are chosen."""
    return own(name, 'account=~"$account"', 'region=~"$region"', *matchers)


def in_scope(expression):
    """Of the account, region and workspaces that are chosen; with the name of the workspace."""
    return f"{expression} * on (job, instance, workspace_id) group_left (workspace_name) {WORKSPACE}"


def with_names(expression, names, info, on):
    """With attributes of an info series."""
    keys = ", ".join(["job", "instance", "workspace_id", *on])
    return f"({expression}) * on ({keys}) group_left ({', '.join(names)}) {own(info)}"


def rate(series):
    return f"rate({series}[$__rate_interval])"


def increase(series, over="$__range"):
    return f"increase({series}[{over}])"


def total(expression, *by):
    return (f"sum by ({', '.join(by)}) (" if by else "sum(") + expression + ")"


# Panels

def target(expression, legend="__auto", instant=False, table=False):
    """One query of a panel."""
    kind = {"instant": True, "range": False} if instant else {"instant": False, "range": True}
    return {
        "datasource": DATASOURCE,
        "editorMode": "code",
        "expr": expression,
        "format": "table" if table else "time_series",
        "legendFormat": legend,
        **kind,
    }


def thresholds(*steps):
    """Colours from a value on; the first one has none."""
    first, *others = steps
    return {"mode": "absolute", "steps": [{"color": first, "value": None}]
            + [{"color": color, "value": value} for color, value in others]}


def panel(kind, title, description, targets, unit="none", size=(12, 8), steps=None, defaults=None,
          options=None, overrides=None, transformations=None, links=None, time_from=None, interval=None):
    """A panel without its place, which the dashboard gives it."""
    field = {"unit": unit, "thresholds": steps or thresholds(GREEN), **(defaults or {})}
    targets = [dict(one, refId=chr(ord("A") + i)) for i, one in enumerate(targets)]
    body = {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": field, "overrides": overrides or []},
        "options": options or {},
        "size": size,
    }
    if transformations:
        body["transformations"] = transformations
    if links:
        body["links"] = links
    if time_from:
        body["timeFrom"] = time_from
    if interval:
        body["interval"] = interval
    return body


def stat(title, description, expression, unit="none", steps=None, legend="__auto", size=(4, 4), decimals=None,
         links=None, today=False, mappings=None, name=False):
    """One number now; with `today`, of the day so far; with `name`, the legend in the place of the number."""
    defaults = {"decimals": decimals} if decimals is not None else {}
    if mappings:
        defaults["mappings"] = mappings
    defaults["noValue"] = "–"
    options = {
        "colorMode": "value" if steps else "none",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "name" if name else "auto" if legend == "__auto" else "value_and_name",
    }
    return panel("stat", title, description, [target(expression, legend, instant=True)], unit, size, steps,
                 defaults, options, links=links, time_from="now/d" if today else None)


def lines(title, description, targets, unit="none", steps=None, stacked=False, size=(12, 8), bars=False, links=None,
          low=0, time_from=None):
    """Values over time."""
    custom = {
        "drawStyle": "bars" if bars else "line",
        "fillOpacity": 60 if bars else 25 if stacked else 5,
        "lineWidth": 1,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"group": "A", "mode": "normal" if stacked else "none"},
    }
    if steps:
        custom["thresholdsStyle"] = {"mode": "dashed"}
    defaults = {"custom": custom}
    if low is not None:
        defaults["min"] = low
    options = {
        "legend": {"calcs": ["lastNotNull", "max"], "displayMode": "table", "placement": "bottom",
                   "showLegend": True, "sortBy": "Last *", "sortDesc": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    # Bars count what happened in a step; of short ones, ranges of four scrapes would overlap.
    return panel("timeseries", title, description, targets, unit, size, steps, defaults, options, links=links,
                 time_from=time_from, interval="5m" if bars else None)


def bars(title, description, expression, legend, unit="none", size=(8, 8), today=False, decimals=1):
    """The largest first, as horizontal bars."""
    options = {
        "displayMode": "gradient",
        "orientation": "horizontal",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "showUnfilled": True,
        "valueMode": "color",
    }
    return panel("bargauge", title, description, [target(f"sort_desc({expression})", legend, instant=True)], unit,
                 size, thresholds(BLUE), {"decimals": decimals, "min": 0, "noValue": "–"}, options,
                 time_from="now/d" if today else None)


def table(title, description, values, columns, unit="none", size=(12, 8), steps=None, links=None, decimals=None,
          today=False, cell_links=None):
    """Rows of labels with one or more values; `columns` names the labels that are shown, in order, `values` has a query
    for each column of values, `cell_links` a link for a column."""
    names = ["Value"] if len(values) == 1 else [f"Value #{chr(ord('A') + i)}" for i in range(len(values))]
    wanted = {label: i for i, label in enumerate([*columns, *names])}
    renamed = {**columns, **dict(zip(names, values))}
    overrides = [{
        "matcher": {"id": "byName", "options": value},
        "properties": [{"id": "custom.cellOptions", "value": {"type": "color-text" if steps else "auto"}},
                       {"id": "custom.width", "value": 160}],
    } for value in values]
    overrides += [{
        "matcher": {"id": "byName", "options": column},
        "properties": [{"id": "links", "value": [link]}],
    } for column, link in (cell_links or {}).items()]
    defaults = {"custom": {"align": "auto", "filterable": True}, "noValue": "nothing"}
    if decimals is not None:
        defaults["decimals"] = decimals
    transformations = [{"id": "merge", "options": {}}] if len(values) > 1 else []
    transformations += [
        {"id": "filterFieldsByName", "options": {"include": {"names": list(wanted)}}},
        {"id": "organize", "options": {"excludeByName": {}, "indexByName": wanted, "renameByName": renamed}},
    ]
    options = {"cellHeight": "sm", "footer": {"show": False}, "showHeader": True,
               "sortBy": [{"displayName": next(iter(values)), "desc": True}]}
    targets = [target(expression, "", instant=True, table=True) for expression in values.values()]
    return panel("table", title, description, targets, unit, size, steps, defaults, options, overrides, transformations,
                 links, "now/d" if today else None)


def mapping(values):
    """Numbers as words with colours."""
    return [{"type": "value", "options": {
        str(number): {"color": color, "index": i, "text": text}
        for i, (number, text, color) in enumerate(values)}}]


def timeline(title, description, expression, legend, values, size=(24, 12)):
    """States over time."""
    options = {
        "alignValue": "left",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "mergeValues": True,
        "rowHeight": 0.8,
        "showValue": "never",
        "tooltip": {"mode": "single", "sort": "none"},
    }
    defaults = {"mappings": mapping(values), "custom": {"fillOpacity": 80, "lineWidth": 0}}
    return panel("state-timeline", title, description, [target(expression, legend)], "none", size, None, defaults,
                 options)


def heatmap(title, description, expression, unit, size=(12, 8)):
    """A histogram over time."""
    options = {
        "calculate": False,
        "cellGap": 1,
        "color": {"exponent": 0.5, "mode": "scheme", "scheme": "Oranges", "steps": 64},
        "legend": {"show": True},
        "tooltip": {"mode": "single", "yHistogram": True},
        "yAxis": {"axisPlacement": "left", "unit": unit},
    }
    one = dict(target(expression, "{{le}}"), format="heatmap")
    return panel("heatmap", title, description, [one], unit, size, None, None, options)


def runbook(alert):
    """A link to what an alert's runbook says."""
    return {"title": f"Runbook: {alert}", "url": f"{RUNBOOKS}/{alert}.md", "targetBlank": True}


def reason(name):
    """A link to what a reason of failures means."""
    return {"title": "What it means", "url": f"{DOCUMENTATION}/troubleshooting.md#{name}", "targetBlank": True}


def to(uid, title):
    """A link to another dashboard, which looks at the same."""
    return {"title": title, "url": f"/d/{uid}?${{__url_time_range}}&${{__all_variables}}", "targetBlank": False}


CLUSTERS = to("emr-spark-clusters", "Session clusters")
LIVY = to("emr-spark-livy", "Livy usage and cost")
EXPORTER = to("emr-spark-exporter", "Exporter health")


# Dashboards

def query_variable(name, label, query, everything):
    """A choice of label values, several at a time, all at first."""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": DATASOURCE,
        "definition": query,
        "query": {"query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": everything,
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "hide": 0,
    }


def variables(with_resources):
    chosen = 'job=~"$job", instance=~"$instance"'
    # Where nothing is listed any more, targets still are.
    info = f"{PREFIX}workspace_info" if with_resources else f"{PREFIX}exporter_sweep_success"
    build = f"{PREFIX}exporter_build_info"
    scoped = f'{info}{{{chosen}, account=~"$account", region=~"$region"}}'
    found = [
        {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "refresh": 1,
         "current": {}, "hide": 0},
        query_variable("job", "Job", f"label_values({build}, job)", ".+"),
        query_variable("instance", "Instance", f'label_values({build}{{job=~"$job"}}, instance)', ".+"),
        query_variable("account", "Account", f"label_values({info}{{{chosen}}}, account)", ".*"),
        query_variable("region", "Region", f'label_values({info}{{{chosen}, account=~"$account"}}, region)', ".*"),
    ]
    if with_resources:
        # Of Livy sessions and of session clusters.
        names = f'__name__=~"{PREFIX}(livy_cu_seconds_total|session_clusters)"'
        found += [query_variable("workspace", "Workspace", f"label_values({scoped}, workspace_name)", ".*"),
                  query_variable("queue", "Queue", f"label_values({{{chosen}, {names}}}, queue)", ".*")]
    # One of the exporters, for links to what it serves.
    exporter = query_variable("exporter", "Exporter", f"label_values({build}{{{chosen}}}, instance)", None)
    found.append({**exporter, "multi": False, "includeAll": False, "current": {}, "hide": 2})
    return found


def place(rows):
    """Panels with ids and places: each row of the list starts a new line, and breaks where it is full."""
    panels, number, top = [], 0, 0
    for title, row in rows:
        number += 1
        panels.append({"id": number, "type": "row", "title": title, "collapsed": False, "panels": [],
                       "gridPos": {"h": 1, "w": WIDTH, "x": 0, "y": top}})
        top += 1
        left = height = 0
        for one in row:
            number += 1
            wide, high = one["size"]
            if left + wide > WIDTH:
                top, left, height = top + height, 0, 0
            body = {key: value for key, value in one.items() if key != "size"}
            panels.append({"id": number, **body, "gridPos": {"h": high, "w": wide, "x": left, "y": top}})
            left, height = left + wide, max(height, high)
        top += height
    return panels


def dashboard(uid, title, description, rows, start, with_resources=True):
    """A whole dashboard; `start` is how far back it looks at first, `with_resources` whether workspaces and queues can
    be chosen."""
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": [TAG],
        "editable": False,
        "graphTooltip": 1,
        "refresh": "1m",
        "schemaVersion": 39,
        "time": {"from": start, "to": "now"},
        "timepicker": {},
        "timezone": "browser",
        "version": 1,
        "annotations": {"list": []},
        "links": [
            {"type": "dashboards", "title": "Spark dashboards", "tags": [TAG], "asDropdown": True,
             "includeVars": True, "keepTime": True, "targetBlank": False, "icon": "external link", "tooltip": "",
             "url": ""},
            {"type": "link", "title": "Runbooks", "url": RUNBOOKS, "tags": [], "asDropdown": False,
             "includeVars": False, "keepTime": False, "targetBlank": True, "icon": "doc",
             "tooltip": "What each alert means and what to do"},
        ],
        "templating": {"list": variables(with_resources)},
        "panels": place(rows),
    }
