"""The systemd unit: what systemd-analyze makes of it, and that the program gets by with the system calls that it leaves."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import unittest
import urllib.request

from common import NAME, PROGRAM, ROOT, TestCase, free_port, read, run, until_ready

UNIT = ROOT / f"deploy/systemd/{NAME}.service"
# All that the unit leaves open of what `systemd-analyze security` looks at, and how much each counts there, of 10.
EXPOSURE = {
    "PrivateNetwork=": "0.5",
    "RestrictAddressFamilies=~AF_(INET|INET6)": "0.3",
    "IPAddressDeny=": "0.2",
    # It takes its settings from the system, and tells systemd by a socket that it serves.
    "RootDirectory=/RootImage=": "0.1",
    "RestrictAddressFamilies=~AF_UNIX": "0.1",
    # For sched_setscheduler and setpriority: what polls gives way to what answers.
    "SystemCallFilter=~@resources": "0.2",
    # Comes with ProtectClock=yes, which closes more than that.
    "DeviceAllow=": "0.1",
}
# The allocator asks at the start whether memory may be reserved beyond what there is; where it cannot know, it may.
OVERCOMMIT = "/proc/sys/vm/overcommit_memory"


class Unit(TestCase):
    def test_its_exposure_is_as_stated(self):
        self.assertEqual(self.exposure(UNIT), EXPOSURE)
        report = run("systemd-analyze", "security", "--offline=true", "--no-pager", UNIT).stdout
        overall = re.search(r"Overall exposure level for \S+: ([\d.]+)", report).group(1)
        self.assertIn(f"exposure level of {overall}", read("docs/deployment.md"))

    def test_a_looser_unit_is_seen(self):
        for line in ["RestrictNamespaces=yes\n", "UMask=0077\n", "SystemCallFilter=~@privileged @resources\n"]:
            loose = self.file(UNIT.name, UNIT.read_text().replace(line, ""))
            self.assertGreater(self.exposure(loose).keys(), EXPOSURE.keys())

    def exposure(self, unit) -> dict[str, str]:
        report = run("systemd-analyze", "security", "--offline=true", "--no-pager", "--json=short", unit).stdout
        return {check["name"]: check["exposure"] for check in json.loads(report) if check["exposure"]}

    def test_systemd_understands_every_line(self):
        # A root of its own, where the program is, and the units that this one names.
        root = self.directory / "root"
        units = root / "etc/systemd/system"
        units.mkdir(parents=True)
        (root / "usr/bin").mkdir(parents=True)
        shutil.copy(PROGRAM, root / "usr/bin" / NAME)
        (root / "bin").mkdir()
        shutil.copy("/bin/kill", root / "bin/kill")
        # Mistakes are messages, whatever the exit code.
        self.assertEqual(self.complaints(root, UNIT.read_text()), [])
        self.assertNotEqual(self.complaints(root, UNIT.read_text() + "[Service]\nProtectSysten=strict\n"), [])

    def complaints(self, root, text: str) -> list[str]:
        path = root / "etc/systemd/system" / UNIT.name
        path.write_text(text)
        done = run("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", f"--root={root}", path, check=False)
        return [line for line in done.stderr.splitlines() if UNIT.name in line]

    def test_paths_are_those_of_the_documents(self):
        text = UNIT.read_text()
        for path in [f"/usr/bin/{NAME}", f"/etc/{NAME}/exporter.yaml", f"/etc/default/{NAME}", f"/var/lib/{NAME}"]:
            self.assertIn(path, text)
            self.assertIn(path, read("docs/deployment.md"))

    def test_the_program_does_what_the_unit_expects(self):
        """Started, fed to the watchdog, reloaded and ended by the unit's own lines, with this test in the place of systemd."""
        service = dict(re.findall(r"(?m)^(\w+)=(.*)$", UNIT.read_text()))
        self.assertEqual((service["Type"], service["NotifyAccess"]), ("notify", "main"))
        keys = self.file("key", "example")
        # Nobody answers there: a daemon starts and reloads all the same.
        account = {"name": "default", "regions": ["cn-hangzhou"], "endpoint": f"http://127.0.0.1:{free_port()}",
                   "credentials": {"type": "static", "access_key_id_file": str(keys), "access_key_secret_file": str(keys)}}
        settings = {"accounts": [account], "web": {"listen_address": f"127.0.0.1:{free_port()}"}}
        self.file("exporter.yaml", settings)
        here = {f"/usr/bin/{NAME}": str(PROGRAM), f"/etc/{NAME}": str(self.directory)}
        command = service["ExecStart"]
        for path, replaced in here.items():
            self.assertIn(path, command)
            command = command.replace(path, replaced)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd, open(self.directory / "log", "w", encoding="utf-8") as log:
            systemd.bind(str(self.directory / "notify"))
            told: list[str] = []
            # All the time, as systemd does: a socket that is full holds up whoever writes to it.
            threading.Thread(target=self.listen, args=(systemd, told), daemon=True).start()
            environment = os.environ | {"NOTIFY_SOCKET": f"{self.directory}/notify", "WATCHDOG_USEC": str(int(service["WatchdogSec"]) * 10_000),
                                        "EMR_SPARK_EXPORTER__LEDGER__PATH": str(self.directory / "ledger.db")}
            process = subprocess.Popen(command.split(), env=environment, stdout=log, stderr=log)
            try:
                self.until(lambda: {"READY=1", "WATCHDOG=1"} <= set(told))
                self.file("exporter.yaml", settings | {"log": {"level": "debug"}})
                run(*service["ExecReload"].replace("$MAINPID", str(process.pid)).split())
                self.until(lambda: "the settings are in force" in (self.directory / "log").read_text())
            finally:
                process.send_signal(getattr(signal, service["KillSignal"]))
                code = process.wait(timeout=60)
            self.until(lambda: "STOPPING=1" in told)
            self.assertEqual(code, 0)
        # Settings that are refused are no reason to start again.
        self.file("exporter.yaml", {"accounts": []})
        self.assertIn(str(run(*command.split(), check=False).returncode), service["RestartPreventExitStatus"].split())

    def listen(self, systemd: socket.socket, told: list[str]):
        while True:
            try:
                told += systemd.recv(4096).decode().splitlines()
            except OSError:
                return

    def until(self, holds):
        """A minute is a bound on a hang, no measure of speed."""
        for _ in range(240):
            if holds():
                return
            time.sleep(0.25)
        self.fail("it did not happen")

    def test_the_program_needs_no_system_call_that_the_unit_refuses(self):
        trace = self.directory / "trace"
        web, sim = free_port(), free_port()
        # Not as root, for whom SQLite does more. Everybody may write here, and the sources may be nobody's to read.
        self.directory.chmod(0o777)
        program = shutil.copy(PROGRAM, self.directory)
        user = ["--user=nobody"] if os.geteuid() == 0 else []
        process = subprocess.Popen(
            ["strace", *user, "--follow-forks", "--output", trace, program, "demo", f"--web.listen-address=127.0.0.1:{web}",
             f"--sim.listen-address=127.0.0.1:{sim}", f"--ledger.path={self.directory}/ledger.db"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            until_ready(f"http://127.0.0.1:{web}")
            with urllib.request.urlopen(f"http://127.0.0.1:{web}/metrics", timeout=60) as page:
                self.assertIn(b"\nprocess_max_fds ", page.read())
        finally:
            # strace itself passes it on to nobody: the program is its child.
            children = run("ps", "--no-headers", "-o", "pid", "--ppid", process.pid).stdout.split()
            for child in children:
                run("kill", "-TERM", child)
            process.wait(timeout=60)
        called = set(re.findall(r"(?m)^\d+ +(\w+)\(", trace.read_text()))
        # It did something: a commit, an answer, a look at its own limits.
        self.assertLessEqual({"fsync", "accept4", "prlimit64"}, called)
        # `ProcSubset=pid` hides all else of /proc.
        asked = {path for path in re.findall(r'"(/proc/[^"]*)"', trace.read_text()) if not path.startswith("/proc/self/")}
        self.assertEqual(asked, {OVERCOMMIT})
        # The first process is not in the filter yet when it is executed.
        self.assertEqual(called - allowed() - {"execve"}, set())

    def test_the_program_gets_by_without_what_the_unit_hides(self):
        trace = self.directory / "trace"
        run("strace", "--output", trace, f"--trace-path={OVERCOMMIT}", "--inject=open,openat:error=ENOENT", PROGRAM, "version")
        self.assertIn("ENOENT (No such file or directory) (INJECTED)", trace.read_text())


def allowed() -> set[str]:
    """What the unit's filter leaves: the sets that it names, less those that it takes away."""
    left: set[str] = set()
    for line in re.findall(r"(?m)^SystemCallFilter=(.*)$", UNIT.read_text()):
        names = set().union(*(members(name) for name in line.lstrip("~").split()))
        left = left - names if line.startswith("~") else left | names
    return left | members("@default")


def members(name: str) -> set[str]:
    if not name.startswith("@"):
        return {name}
    text = run("systemd-analyze", "syscall-filter", "--no-pager", name).stdout
    found = set()
    for line in text.splitlines()[1:]:
        word = line.strip()
        if word.startswith("@"):
            found |= members(word)
        elif word and not word.startswith("#"):
            found.add(word)
    return found


if __name__ == "__main__":
    unittest.main()
