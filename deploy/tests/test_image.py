"""The image, which deploy/tests/image.sh has built by the Dockerfile: looked at, and run by podman, read-only and without rights.

What is replaced is the official image of Rust that the Dockerfile begins with; image.sh says by what. A build for arm64 is made by the
script that the Dockerfile runs, without optimisation, and its program is run by qemu.
"""

import json
import re
import tarfile
import unittest
from pathlib import Path

from common import NAME, PROGRAM, ROOT, VERSION, TestCase, free_port, read, run, until_ready

TAG = f"localhost/{NAME}:test-deploy"
BINARY = f"/usr/bin/{NAME}"
STATE = f"/var/lib/{NAME}"
SIZE_MAX = 20_000_000
PROGRAM_SIZE_MAX = 15_000_000
# As image.sh has it: runc knows both versions of cgroups; there is no systemd for health timers, and limits stay as they are.
BUILT = ROOT / "target/deploy-image"
PODMAN = ["podman", f"--root={BUILT}/storage", f"--runroot={BUILT}/run", "--runtime=runc", "--cgroup-manager=cgroupfs", "--log-level=error"]
CONFINED = ["--read-only", "--read-only-tmpfs=false", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=host",
            "--no-healthcheck", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"]


def stages() -> list[str]:
    """The Dockerfile's stages, from one FROM to the next, comments left out."""
    lines = [line for line in read("Dockerfile").splitlines() if not line.startswith("#")]
    return re.split(r"(?m)^(?=FROM )", "\n".join(lines))[1:]


class Dockerfile(TestCase):
    def test_hadolint_is_content(self):
        run("hadolint", "Dockerfile")

    def test_a_mistake_does_not_pass(self):
        path = self.file("Dockerfile", read("Dockerfile").replace("USER 65532:65532", "MAINTAINER nobody"))
        self.assertNotEqual(run("hadolint", path, check=False).returncode, 0)

    def test_the_context_holds_what_it_copies_and_no_more(self):
        kept = {line[1:] for line in read(".dockerignore").splitlines() if line.startswith("!")}
        copied = set()
        for line in read("Dockerfile").splitlines():
            if line.startswith("COPY ") and "--from" not in line:
                copied.update(line.split()[1:-1])
        self.assertEqual(kept, copied)
        for path in kept:
            self.assertTrue((ROOT / path).exists(), path)

    def test_its_version_is_the_programs(self):
        self.assertIn(f"ARG VERSION={VERSION}\n", read("Dockerfile"))

    def test_a_build_for_another_processor_runs_nothing_of_it(self):
        first, *_, last = stages()
        self.assertIn("FROM --platform=$BUILDPLATFORM ", first)
        self.assertNotIn("\nRUN ", last)


class Image(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.described = json.loads(run(*PODMAN, "image", "inspect", TAG).stdout)[0]

    def test_it_says_what_it_is(self):
        config = self.described["Config"]
        self.assertEqual(config["User"], "65532:65532")
        self.assertEqual(config["Entrypoint"], [BINARY])
        self.assertEqual(list(config["Volumes"]), [STATE])
        self.assertEqual(list(config["ExposedPorts"]), ["10990/tcp"])
        self.assertEqual(self.health(), [BINARY, "healthcheck"])
        labels = config["Labels"]
        self.assertEqual(labels["org.opencontainers.image.version"], VERSION)
        self.assertEqual(labels["org.opencontainers.image.revision"], revision())
        self.assertEqual(labels["org.opencontainers.image.licenses"], "Apache-2.0")

    def test_it_is_small(self):
        self.assertLess(self.described["Size"], SIZE_MAX)
        self.assertLess(PROGRAM.stat().st_size, PROGRAM_SIZE_MAX)

    def test_the_program_is_static(self):
        headers = run("readelf", "--program-headers", PROGRAM).stdout
        self.assertNotIn("INTERP", headers)

    def test_it_tells_its_version_without_rights_or_a_writable_place(self):
        done = run(*PODMAN, "run", "--rm", *CONFINED, TAG, "version")
        self.assertIn(f"version {VERSION} ", done.stdout)
        self.assertIn(revision(), done.stdout)
        self.assertIn(self.described["Config"]["Labels"]["org.opencontainers.image.created"], done.stdout)

    def test_it_holds_certificates_a_license_and_nothing_else(self):
        container = run(*PODMAN, "create", "--no-healthcheck", TAG).stdout.strip()
        self.addCleanup(run, *PODMAN, "rm", container)
        run(*PODMAN, "export", "--output", self.directory / "files.tar", container)
        with tarfile.open(self.directory / "files.tar") as files:
            held = {member.name for member in files if member.isfile() and member.size}
        expected = {"etc/ssl/certs/ca-certificates.crt", "etc/passwd", "etc/group", BINARY[1:], f"usr/share/doc/{NAME}/LICENSE"}
        # The runtime's own, such as the host's name.
        self.assertEqual({name for name in held if not re.match("(dev|proc|sys|run|etc/(hosts|hostname|resolv.conf|mtab))", name)}, expected)

    def test_it_runs_answers_and_ends_with_its_ledger_on_the_volume(self):
        web, sim = free_port(), free_port()
        volume, container = f"test-deploy-{web}", f"test-deploy-{web}"
        self.addCleanup(run, *PODMAN, "volume", "rm", "--force", volume, check=False)
        self.addCleanup(run, *PODMAN, "rm", "--force", container, check=False)
        run(*PODMAN, "run", "--detach", "--name", container, *CONFINED, "--volume", f"{volume}:{STATE}",
            "--env", f"EMR_SPARK_EXPORTER__WEB__LISTEN_ADDRESS=127.0.0.1:{web}", "--env", "ALIBABA_CLOUD_REGION_ID=cn-hangzhou",
            TAG, "demo", f"--web.listen-address=127.0.0.1:{web}", f"--sim.listen-address=127.0.0.1:{sim}",
            f"--ledger.path={STATE}/ledger.db")
        try:
            until_ready(f"http://127.0.0.1:{web}")
        except AssertionError as error:
            raise AssertionError(run(*PODMAN, "logs", container).stderr) from error
        # The image's own check, as a runtime runs it.
        run(*PODMAN, "exec", container, *self.health())
        mount = json.loads(run(*PODMAN, "volume", "inspect", volume).stdout)[0]["Mountpoint"]
        ledger = run("stat", "--format=%u:%g", f"{mount}/ledger.db").stdout.strip()
        self.assertEqual(ledger, "65532:65532")
        run(*PODMAN, "stop", "--time=30", container)
        ended = json.loads(run(*PODMAN, "container", "inspect", container).stdout)[0]["State"]
        self.assertEqual(ended["ExitCode"], 0)

    def test_the_check_fails_where_nothing_answers(self):
        done = run(*PODMAN, "run", "--rm", *CONFINED, "--env=ALIBABA_CLOUD_REGION_ID=cn-hangzhou",
                   f"--env=EMR_SPARK_EXPORTER__WEB__LISTEN_ADDRESS=127.0.0.1:{free_port()}", TAG, "healthcheck", check=False)
        self.assertEqual(done.returncode, 1, done.stderr)

    def health(self) -> list[str]:
        # Not every podman has it in the same place.
        check = self.described.get("Healthcheck") or self.described["Config"]["Healthcheck"]
        return check["Test"][1:]

class OtherProcessor(TestCase):
    def test_the_program_is_cross_built_and_runs(self):
        run("scripts/static-tools.sh")
        # Optimised it takes five minutes more, and shows no more of compilers and linkers.
        quick = {"OPT_LEVEL": "0", "LTO": "off", "CODEGEN_UNITS": "16"}
        built = run("scripts/static-build.sh", "arm64", env={f"CARGO_PROFILE_RELEASE_{key}": value for key, value in quick.items()})
        program = ROOT / built.stdout.splitlines()[-1]
        described = run("readelf", "--file-header", "--program-headers", program).stdout
        self.assertRegex(described, r"Machine: +AArch64")
        self.assertNotIn("INTERP", described)
        self.assertIn(f"version {VERSION} ", run("qemu-aarch64-static", program, "version").stdout)
        # No path of this machine: the same sources make the same file in any directory.
        content = program.read_bytes()
        for path in [ROOT, Path.home()]:
            self.assertNotIn(str(path).encode(), content)


def revision() -> str:
    """The commit that image.sh has built: nothing in a tree without git."""
    return (BUILT / "revision").read_text(encoding="utf-8").strip()


if __name__ == "__main__":
    unittest.main()
