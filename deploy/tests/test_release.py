"""The release: packed twice, to the same bytes; what is inside, and that it works."""

import json
import os
import tarfile
import tempfile
import unittest

from common import NAME, PROGRAM, ROOT, VERSION, TestCase, helm, run

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator


class Release(TestCase):
    def pack(self, name: str, umask: int, **variables):
        out = self.directory / name
        fixed = {"PROGRAM": str(PROGRAM), "ARCHITECTURES": "amd64", "OUT": str(out), "SOURCE_DATE_EPOCH": "1767225600"}
        before = os.umask(umask)
        try:
            run("scripts/release.sh", env=fixed | variables)
        finally:
            os.umask(before)
        return out

    def test_two_runs_make_the_same_bytes(self):
        first = self.pack("first", 0o022)
        # In memory, directories list their files in another order.
        with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
            second = self.pack("second", 0o077, TZ="Asia/Shanghai", LC_ALL="C.UTF-8", TMPDIR=memory)
        self.assertEqual((first / "SHA256SUMS").read_text(), (second / "SHA256SUMS").read_text())
        run("sha256sum", "--check", "--strict", "SHA256SUMS", cwd=second)
        listed = {line.split()[1] for line in (first / "SHA256SUMS").read_text().splitlines()}
        self.assertEqual(listed | {"SHA256SUMS"}, {path.name for path in first.iterdir()})
        later = self.pack("later", 0o022, SOURCE_DATE_EPOCH="1767225601")
        self.assertNotEqual((first / "SHA256SUMS").read_text(), (later / "SHA256SUMS").read_text())

    def test_the_archive_holds_what_an_operator_needs(self):
        out = self.pack("out", 0o022)
        directory = f"{NAME}-{VERSION}.linux-amd64"
        with tarfile.open(out / f"{directory}.tar.gz") as archive:
            members = archive.getmembers()
            archive.extractall(self.directory, filter="data")
        names = [member.name for member in members]
        self.assertEqual({(member.uid, member.gid, member.mtime) for member in members}, {(0, 0, 1767225600)})
        self.assertTrue(all(member.isfile() or member.isdir() for member in members))
        kept = [path.relative_to(ROOT) for pattern in ["dashboards/*.json", "config/**/*.y*ml", "docs/**/*.md", "docs/*.png"]
                for path in ROOT.glob(pattern)]
        kept += ["README.md", "CHANGELOG.md", "LICENSE", f"deploy/systemd/{NAME}.service", "sbom.cdx.json", NAME]
        for path in kept:
            self.assertIn(f"{directory}/{path}", names)
        root = self.directory / directory
        run(root / NAME, "version", cwd=root)
        run(root / NAME, "check-config", f"--config.file={root}/config/exporter.yaml", env={"ALIBABA_CLOUD_REGION_ID": "cn-hangzhou"})

    def test_the_chart_is_one_that_helm_reads(self):
        out = self.pack("out", 0o022)
        package = out / f"{NAME}-chart-{VERSION}.tgz"
        helm("lint --strict", package)
        flags = ["--set", "dashboards.enabled=true,prometheusRule.enabled=true"]
        packed, ours = (helm("template exporter", chart, *flags).stdout for chart in [package, f"deploy/helm/{NAME}"])
        self.assertEqual(packed, ours)

    def test_the_sbom_is_valid_and_names_what_is_linked(self):
        text = run("scripts/sbom.py").stdout
        self.assertIsNone(JsonStrictValidator(SchemaVersion.V1_5).validate_str(text))
        document = json.loads(text)
        self.assertIsNotNone(JsonStrictValidator(SchemaVersion.V1_5).validate_str(text.replace('"library"', '"librarian"')))
        components = {component["name"]: component for component in document["components"]}
        self.assertLessEqual({"aws-lc-sys", "hyper", "libsqlite3-sys", "rustls", "tokio"}, set(components))
        # What only tests or builds, and what is optional and not asked for.
        self.assertFalse({"proptest", "tempfile", "cc", "ring", "serde_derive"} & set(components))
        self.assertTrue(all(component["hashes"] and component["licenses"] for component in components.values()))


if __name__ == "__main__":
    unittest.main()
