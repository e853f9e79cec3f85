#!/usr/bin/env python3
"""Writes a CycloneDX 1.5 SBOM of what is linked into the program, from cargo's own metadata and lock file.

What only builds or tests it is left out. The same Cargo.lock makes the same bytes: no random serial number, and the
time, if any, is SOURCE_DATE_EPOCH.
"""

import json
import os
import subprocess
import sys
import uuid
from datetime import datetime, timezone

PROGRAM = "emr-serverless-spark-exporter"
TARGET = "x86_64-unknown-linux-musl"


def main() -> None:
    command = ["cargo", "metadata", "--format-version=1", "--locked", "--filter-platform", TARGET]
    metadata = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    packages = {package["id"]: package for package in metadata["packages"]}
    in_program = linked_packages()
    linked = {
        node["id"]: [key for key in node["dependencies"] if name_and_version(packages[key]) in in_program]
        for node in metadata["resolve"]["nodes"]
    }
    root = next(key for key, package in packages.items() if package["name"] == PROGRAM)
    reached = reach(root, linked)
    checksums = lock_checksums()
    components = [component(packages[key], checksums) for key in reached if key != root]
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "tools": {"components": [{"type": "application", "name": "scripts/sbom.py"}]},
            "component": component(packages[root], checksums) | {"type": "application"},
        },
        "components": sorted(components, key=lambda item: item["bom-ref"]),
        "dependencies": sorted(
            (
                {"ref": reference(packages[key]), "dependsOn": sorted({reference(packages[to]) for to in linked[key]})}
                for key in reached
            ),
            key=lambda item: item["ref"],
        ),
    }
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    if epoch:
        time = datetime.fromtimestamp(epoch, timezone.utc)
        document["metadata"]["timestamp"] = time.strftime("%Y-%m-%dT%H:%M:%SZ")
    text = json.dumps(document, sort_keys=True)
    document["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, text)}"
    json.dump(document, sys.stdout, indent=2)
    sys.stdout.write("\n")


def linked_packages() -> set[tuple[str, str]]:
    """Names and versions, as `cargo tree` has them: the metadata alone would name optional packages that nobody asks for.

    Procedural macros are none of them: they end with the compilation.
    """
    command = ["cargo", "tree", "--locked", "--target", TARGET, "--edges=normal,no-proc-macro"]
    command += ["--prefix=none", "--format={p}"]
    tree = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    words = (line.split() for line in tree.splitlines() if line.strip())
    return {(line[0], line[1].removeprefix("v")) for line in words}


def name_and_version(package: dict) -> tuple[str, str]:
    return package["name"], package["version"]


def reach(root: str, linked: dict) -> list[str]:
    seen, waiting = {root}, [root]
    while waiting:
        for key in linked[waiting.pop()]:
            if key not in seen:
                seen.add(key)
                waiting.append(key)
    return sorted(seen)


def lock_checksums() -> dict[tuple[str, str], str]:
    """(name, version) → SHA-256 of the crate's archive. Line by line: not every Python here has a reader of TOML."""
    checksums, fields = {}, {}
    with open("Cargo.lock", encoding="utf-8") as lock:
        for line in lock:
            if line.startswith("[["):
                fields = {}
            key, equals, value = line.partition(" = ")
            if equals:
                fields[key] = value.strip().strip('"')
            if key == "checksum":
                checksums[fields["name"], fields["version"]] = fields["checksum"]
    return checksums


def reference(package: dict) -> str:
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package: dict, checksums: dict) -> dict:
    entry = {
        "type": "library",
        "bom-ref": reference(package),
        "name": package["name"],
        "version": package["version"],
        "purl": reference(package),
    }
    if package.get("description"):
        entry["description"] = " ".join(package["description"].split())
    if package.get("license"):
        # The old spelling of OR, which SPDX does not know any more.
        entry["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    if checksum := checksums.get(name_and_version(package)):
        entry["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if package.get("repository"):
        entry["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return entry


if __name__ == "__main__":
    main()
