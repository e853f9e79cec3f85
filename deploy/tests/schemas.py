#!/usr/bin/env python3
"""Writes JSON schemas for kubeconform from the sources of Kubernetes and the Prometheus Operator: swagger.json, directory, output.

Each schema stands for itself, and refuses fields that the API does not know.
"""

import json
import sys
from pathlib import Path

PREFIX = "#/definitions/"
QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
# What the chart may make; kubeconform refuses a kind without a schema.
KINDS = {
    ("", "v1", "ConfigMap"),
    ("", "v1", "Service"),
    ("", "v1", "ServiceAccount"),
    ("apps", "v1", "StatefulSet"),
    ("networking.k8s.io", "v1", "NetworkPolicy"),
    ("policy", "v1", "PodDisruptionBudget"),
}
CUSTOM = ["servicemonitors", "prometheusrules"]


def main() -> None:
    swagger, operator, output = (Path(argument) for argument in sys.argv[1:])
    output.mkdir(parents=True)
    definitions = json.loads(swagger.read_text(encoding="utf-8"))["definitions"]
    definitions = {name: strict(definition) for name, definition in definitions.items()}
    definitions[QUANTITY] = {"type": ["string", "number"]}
    definitions[INT_OR_STRING] = {"type": ["string", "integer"]}
    written = set()
    for name, definition in definitions.items():
        for kind in definition.get("x-kubernetes-group-version-kind", []):
            if (kind["group"], kind["version"], kind["kind"]) in KINDS:
                written.add((kind["group"], kind["version"], kind["kind"]))
                needed = {key: definitions[key] for key in sorted(reach(name, definitions))}
                write(output, kind, {"$ref": PREFIX + name, "definitions": needed})
    assert written == KINDS, KINDS - written
    for plural in CUSTOM:
        resource = json.loads((operator / f"{plural}-crd.json").read_text(encoding="utf-8"))["spec"]
        for version in resource["versions"]:
            kind = {"group": resource["group"], "version": version["name"], "kind": resource["names"]["kind"]}
            write(output, kind, strict(version["schema"]["openAPIV3Schema"]))


def write(output: Path, kind: dict, schema: dict) -> None:
    """Under the name that kubeconform asks for: the kind, the first word of the group, the version."""
    group = kind["group"].split(".")[0]
    name = "-".join(part.lower() for part in (kind["kind"], group, kind["version"]) if part)
    (output / f"{name}.json").write_text(json.dumps(schema), encoding="utf-8")


def strict(schema):
    """The schema without unknown fields, and with JSON Schema's words for what OpenAPI says in words of its own."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string") or schema.get("format") == "int-or-string":
        return {"type": ["string", "integer"]}
    result = {key: strict(value) for key, value in schema.items()}
    is_open = "additionalProperties" in result or result.get("x-kubernetes-preserve-unknown-fields")
    # A field may be called `properties`, too: only in a schema it stands beside the type.
    if result.get("type") == "object" and "properties" in result and not is_open:
        result["additionalProperties"] = False
    return result


def reach(name: str, definitions: dict) -> set[str]:
    seen, waiting = {name}, [name]
    while waiting:
        text = json.dumps(definitions[waiting.pop()])
        for found in (part.split('"')[0] for part in text.split(PREFIX)[1:]):
            if found not in seen:
                seen.add(found)
                waiting.append(found)
    return seen


if __name__ == "__main__":
    main()
