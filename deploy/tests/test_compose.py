"""compose.yaml, read by the loader that `docker compose config` uses, and what it mounts."""

import json
import os
import re
import subprocess
import time
import unittest
from pathlib import Path

from common import PROGRAM, ROOT, TestCase, free_port, read, run, search_path, yaml


class Compose(TestCase):
    @classmethod
    def setUpClass(cls):
        # All profiles: the loader's own program leaves none out.
        done = run("compose-spec", "-format=json", "compose.yaml")
        cls.project = json.loads(done.stdout)
        cls.services = cls.project["services"]

    def test_it_has_the_services_in_their_profiles(self):
        profiles = {name: service.get("profiles", []) for name, service in self.services.items()}
        self.assertEqual(
            profiles, {"demo": ["demo"], "exporter": ["real"], "prometheus": [], "alertmanager": [], "grafana": []}
        )

    def test_a_mistake_is_refused(self):
        path = self.file("compose.yaml", read("compose.yaml").replace("read_only: true", "readonly: true"))
        self.assertNotEqual(run("compose-spec", path, check=False).returncode, 0)

    def test_every_service_is_pinned_watched_and_confined(self):
        for name, service in self.services.items():
            with self.subTest(service=name):
                self.assertRegex(service["image"], r":v?\d+\.\d+\.\d+$")
                self.assertIn("test", service["healthcheck"])
                self.assertTrue(service["read_only"])
                self.assertEqual(service["cap_drop"], ["ALL"])
                for port in service["ports"]:
                    self.assertEqual(port["host_ip"], "127.0.0.1")

    def test_its_prometheus_is_the_one_of_the_tests(self):
        # As a Go module, Prometheus 3.15.0 is called v0.315.0.
        minor, patch = re.search(r"prometheus/prometheus@v0\.3(\d+)\.(\d+) ", read("deploy/tests/tools.sh")).groups()
        self.assertEqual(self.services["prometheus"]["image"], f"prom/prometheus:v3.{minor}.{patch}")

    def test_what_it_mounts_is_there(self):
        for name, service in self.services.items():
            for volume in service.get("volumes", []):
                source = volume["source"].removeprefix(f"{ROOT}/")
                if volume["type"] == "bind" and not source.startswith("secrets/"):
                    self.assertTrue((ROOT / source).exists(), f"{name}: {source}")
                    self.assertTrue(volume["read_only"], f"{name}: {source}")

    def test_no_secret_is_inside_or_committed(self):
        self.assertEqual(set(self.project["secrets"]), {"access-key-id", "access-key-secret"})
        for secret in self.project["secrets"].values():
            self.assertRegex(secret["file"], "/secrets/")
        self.assertNotRegex(read("compose.yaml"), re.compile(r"(password|secret)\w*: +[^\[{ ]", re.I))
        self.assertIn("/secrets", read(".gitignore").splitlines())

    def test_prometheus_finds_rules_exporter_and_alertmanager(self):
        config = yaml.safe_load(read("deploy/compose/prometheus.yml"))
        targets = {volume["target"] for volume in self.services["prometheus"]["volumes"]}
        for pattern in config["rule_files"]:
            self.assertIn(pattern.removesuffix("/*.yml"), targets)
        # The name by which Prometheus knows whichever of the two runs.
        for exporter in ["demo", "exporter"]:
            self.assertEqual(self.services[exporter]["networks"]["default"]["aliases"], ["exporter"])
        known = {"localhost": "prometheus", **{name: name for name in self.services}}
        asked = [group for job in config["scrape_configs"] for group in job["static_configs"]]
        asked += config["alerting"]["alertmanagers"][0]["static_configs"]
        for group in asked:
            for host, port in (target.split(":") for target in group["targets"]):
                self.assertIn(int(port), [entry["target"] for entry in self.services[known[host]]["ports"]], host)

    def test_commands_start_and_checks_pass(self):
        """As processes, each with the paths and the port of this test in the places of those in its container."""
        programs = {"demo": PROGRAM, "prometheus": "prometheus", "alertmanager": "prometheus-alertmanager"}
        flags = {"demo": ["--sim.listen-address=127.0.0.1:{free}"], "prometheus": ["--web.listen-address=127.0.0.1:{port}"],
                 "alertmanager": ["--web.listen-address=127.0.0.1:{port}"]}
        for name, program in programs.items():
            with self.subTest(service=name):
                port = free_port()
                added = [flag.format(port=port, free=free_port()) for flag in flags[name]]
                command, check = (self.outside(name, port, words) for words in
                                  [self.services[name]["command"] + added, self.services[name]["healthcheck"]["test"][1:]])
                environment = os.environ | self.services[name].get("environment", {})
                environment["EMR_SPARK_EXPORTER__WEB__LISTEN_ADDRESS"] = f"127.0.0.1:{port}"
                self.starts_and_passes([program, *command], [Path(check[0]).name, *check[1:]], environment)

    def outside(self, name: str, port: int, words: list[str]) -> list[str]:
        paths = {volume["target"]: volume["source"] if volume["type"] == "bind" else str(self.directory)
                 for volume in self.services[name].get("volumes", [])}
        (container_port,) = (entry["target"] for entry in self.services[name]["ports"])
        result = []
        for word in words:
            for inside, here in paths.items():
                word = word.replace(f"={inside}", f"={here}")
            result.append(word.replace("0.0.0.0", "127.0.0.1").replace(f":{container_port}", f":{port}"))
        return result

    def starts_and_passes(self, command: list, check: list[str], environment: dict[str, str]):
        environment["PATH"] = f"{PROGRAM.parent}:{search_path()}"
        self.assertNotEqual(run(*check, env=environment, check=False).returncode, 0, "a check that passes without its service")
        with open(self.directory / "log", "w+", encoding="utf-8") as log:
            process = subprocess.Popen([str(word) for word in command], env=environment, cwd=self.directory, stdout=log, stderr=log)
            try:
                for _ in range(240):
                    done = run(*check, env=environment, check=False)
                    if done.returncode == 0 or process.poll() is not None:
                        break
                    time.sleep(0.25)
                log.seek(0)
                self.assertEqual(done.returncode, 0, f"{done.stderr}{log.read()}")
            finally:
                process.terminate()
                process.wait(timeout=60)

    def test_its_prometheus_scrapes_as_the_shipped_one(self):
        ours, shipped = (yaml.safe_load(read(path)) for path in
                         ["deploy/compose/prometheus.yml", "config/prometheus/prometheus.yml"])
        self.assertEqual(ours["global"], shipped["global"])
        jobs = [{job["job_name"]: job for job in config["scrape_configs"]} for config in (ours, shipped)]
        for name, job in jobs[1].items():
            without = [{key: value for key, value in side[name].items() if key not in ("static_configs", "scrape_interval")}
                       for side in jobs]
            self.assertEqual(without[0], without[1], name)
        run("promtool", "check", "config", "--syntax-only", "deploy/compose/prometheus.yml")

    def test_grafana_finds_prometheus_and_the_dashboards(self):
        grafana = self.services["grafana"]
        provider, source = (yaml.safe_load(next((ROOT / "config/grafana/provisioning" / kind).glob("*.y*ml")).read_text())
                            for kind in ["dashboards", "datasources"])
        self.assertEqual(source["datasources"][0]["url"], "$PROMETHEUS_URL")
        self.assertEqual(grafana["environment"]["PROMETHEUS_URL"], "http://prometheus:9090")
        targets = {volume["target"] for volume in grafana["volumes"]}
        self.assertIn(provider["providers"][0]["options"]["path"], targets)

    def test_alertmanager_finds_the_secrets_of_its_receivers(self):
        targets = {volume["target"] for volume in self.services["alertmanager"]["volumes"]}
        self.assertLessEqual({"/etc/alertmanager/alertmanager.yml", "/etc/alertmanager/secrets"}, targets)

    def test_its_settings_are_good_ones(self):
        keys = {}
        for variable in ["ACCESS_KEY_ID", "ACCESS_KEY_SECRET"]:
            path = self.file(variable, "example")
            keys[f"EMR_SPARK_EXPORTER__ACCOUNTS__0__CREDENTIALS__{variable}_FILE"] = str(path)
        run(PROGRAM, "check-config", "--config.file=deploy/compose/exporter.yaml",
            env=keys | {"ALIBABA_CLOUD_REGION_ID": "cn-hangzhou"})


if __name__ == "__main__":
    unittest.main()
