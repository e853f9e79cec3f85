"""compose.yaml, read by the loader that `docker compose config` uses, and what it mounts."""

import json
import re
import unittest

from common import PROGRAM, ROOT, TestCase, read, run, yaml


class Compose(TestCase):
    @classmethod
    def setUpClass(cls):
        done = run("compose-spec", "-format=json", "compose.yaml", env={"COMPOSE_PROFILES": "demo,real"})
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
