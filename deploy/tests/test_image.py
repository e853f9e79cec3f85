"""The image: built by podman and run by it, read-only and without rights.

What is replaced: no registry is asked for the image of the compilers. The stages `compilers`, `dependencies` and `build` of the
Dockerfile are left out; what they run, scripts/static-tools.sh and scripts/static-build.sh, has run outside and made the
same static file, which stands in a stage of the same name. The last stage, which is the image, is the Dockerfile's, unchanged.
"""

import json
import re
import shutil
import unittest

from common import NAME, PROGRAM, ROOT, VERSION, TestCase, free_port, read, run, until_ready

TAG = f"localhost/{NAME}:test-deploy"
BINARY = f"/usr/bin/{NAME}"
STATE = f"/var/lib/{NAME}"
SIZE_MAX = 20_000_000
# Containers here: runc knows both versions of cgroups; there is no systemd for health timers, and limits stay as they are.
PODMAN = ["podman", "--runtime=runc", "--cgroup-manager=cgroupfs", "--log-level=error"]
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

    def test_stubs_stand_for_every_target_of_the_manifest(self):
        dependencies = stages()[1]
        for path in re.findall(r'(?m)^path = "(.*)"', read("Cargo.toml")) + ["src/lib.rs", "src/main.rs"]:
            self.assertIn(path, dependencies)


class Image(TestCase):
    @classmethod
    def setUpClass(cls):
        context = ROOT / "target/test-image"
        shutil.rmtree(context, ignore_errors=True)
        image = context / "image"
        for directory in ["usr/bin", "etc/ssl/certs"]:
            (image / directory).mkdir(parents=True)
        (context / "state").mkdir()
        shutil.copy(PROGRAM, image / "usr/bin" / NAME)
        # The stage's other files, as its commands make them.
        shutil.copy("/etc/ssl/certs/ca-certificates.crt", image / "etc/ssl/certs")
        (image / "etc/passwd").write_text(f"exporter:x:65532:65532::{STATE}:/sbin/nologin\n")
        (image / "etc/group").write_text("exporter:x:65532:\n")
        shutil.copy(ROOT / "LICENSE", context)
        last = stages()[-1]
        assert last.startswith("FROM scratch AS image"), last
        (context / "Containerfile").write_text(f"FROM scratch AS build\nCOPY image /image\nCOPY state /state\n{last}\n")
        run(*PODMAN, "build", "--isolation=chroot", "--format=docker", "--tag", TAG, "--build-arg", "REVISION=4f2a", context)
        cls.described = json.loads(run(*PODMAN, "image", "inspect", TAG).stdout)[0]

    @classmethod
    def tearDownClass(cls):
        run(*PODMAN, "image", "rm", "--force", TAG)

    def test_it_says_what_it_is(self):
        config = self.described["Config"]
        self.assertEqual(config["User"], "65532:65532")
        self.assertEqual(config["Entrypoint"], [BINARY])
        self.assertEqual(list(config["Volumes"]), [STATE])
        self.assertEqual(list(config["ExposedPorts"]), ["10990/tcp"])
        self.assertEqual(self.health(), [BINARY, "healthcheck"])
        labels = config["Labels"]
        self.assertEqual(labels["org.opencontainers.image.version"], VERSION)
        self.assertEqual(labels["org.opencontainers.image.revision"], "4f2a")
        self.assertEqual(labels["org.opencontainers.image.licenses"], "Apache-2.0")

    def test_it_is_small(self):
        self.assertLess(self.described["Size"], SIZE_MAX)

    def test_the_program_is_static(self):
        headers = run("readelf", "--program-headers", PROGRAM).stdout
        self.assertNotIn("INTERP", headers)

    def test_it_tells_its_version_without_rights_or_a_writable_place(self):
        done = run(*PODMAN, "run", "--rm", *CONFINED, TAG, "version")
        self.assertIn(f"version {VERSION} ", done.stdout)

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


if __name__ == "__main__":
    unittest.main()
