"""Writes the dashboards as JSON: python3 dashboards/generator [DIRECTORY]; else beside this directory."""

import json
import pathlib
import sys

import exporter_health
import fleet_overview
import livy_usage_and_cost
import session_clusters

DASHBOARDS = [fleet_overview, session_clusters, livy_usage_and_cost, exporter_health]


def main():
    directory = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent
    for module in DASHBOARDS:
        text = json.dumps(module.dashboard(), indent=2, ensure_ascii=False, sort_keys=False)
        (directory / f"{module.__name__}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
