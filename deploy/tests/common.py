"""What the tests of deploy/ share: paths, and programs as processes."""

import json
import os
import re
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "target/deploy-tools"
NAME = "emr-serverless-spark-exporter"
CHART = ROOT / "deploy/helm" / NAME
VERSION = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(encoding="utf-8"), re.M).group(1)
# Whose schemas tools.sh installs. helm has to be told: built as a Go module, it takes itself for one of Kubernetes 1.20.
KUBERNETES = re.search(r"(?m)^KUBERNETES=(\S+)", (ROOT / "deploy/tests/tools.sh").read_text(encoding="utf-8")).group(1)
# The program of the image, which deploy/tests/image.sh builds; or another static one, while the tests are written.
PROGRAM = Path(os.environ.get("STATIC_PROGRAM", ROOT / "target/deploy-image" / NAME))


def search_path() -> str:
    """The tools' own programs before those of the system."""
    return f"{TOOLS}/bin:{TOOLS}/venv/bin:{os.environ['PATH']}"


def run(*command, check=True, **options) -> subprocess.CompletedProcess:
    """Runs a program in the root of the repository."""
    environment = os.environ | {"PATH": search_path()} | options.pop("env", {})
    command = [str(part) for part in command]
    done = subprocess.run(
        command, cwd=options.pop("cwd", ROOT), env=environment, text=True, capture_output=True, check=False, **options
    )
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}\nended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def helm(command: str, chart, *flags, check=True) -> subprocess.CompletedProcess:
    """`helm lint` or `helm template` of a chart, as for the Kubernetes of the tests."""
    return run("helm", *command.split(), chart, f"--kube-version={KUBERNETES}", *flags, check=check)


def read(path: str | Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def documents(text: str) -> list[dict]:
    """The documents of a YAML stream that hold anything."""
    return [document for document in yaml.load_all(text, yaml.CSafeLoader) if document]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until_ready(address: str) -> None:
    """Returns when every target of the exporter was swept. Two minutes are a bound on a hang, no measure of speed."""
    last = None
    for _ in range(480):
        try:
            with urllib.request.urlopen(f"{address}/-/ready", timeout=5):
                return
        except OSError as error:
            last = error
            time.sleep(0.25)
    raise AssertionError(f"{address} is not ready: {last}")


class TestCase(unittest.TestCase):
    """A test with a directory of its own."""

    maxDiff = None

    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="test-deploy-")
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)

    def file(self, name: str, content) -> Path:
        """Writes a file: a text as it is, anything else as YAML."""
        path = self.directory / name
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path
