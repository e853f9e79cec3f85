"""Rules, Prometheus's settings and dashboards, by the field's own linters and a current Prometheus."""

import unittest

from common import ROOT, TestCase, read, run

RULES = sorted((ROOT / "config/prometheus/rules").glob("*.yml"))
TESTS = sorted((ROOT / "config/prometheus/tests").glob("*.yml"))
DASHBOARDS = sorted((ROOT / "dashboards").glob("*.json"))


class Prometheus(TestCase):
    def test_there_are_rules_tests_and_dashboards(self):
        self.assertTrue(RULES and TESTS and DASHBOARDS)

    def test_promtool_takes_settings_and_rules(self):
        run("promtool", "check", "config", "config/prometheus/prometheus.yml")
        run("promtool", "check", "rules", "--lint=all", "--lint-fatal", *RULES)

    def test_promtool_passes_the_tests_of_the_rules(self):
        run("promtool", "test", "rules", *TESTS)

    def test_pint_is_content_with_the_rules(self):
        run("pint", "--no-color", "--offline", "--config=deploy/tests/pint.hcl", "lint", "--min-severity=info",
            "--fail-on=warning", *RULES)

    def test_pint_sees_a_mistake(self):
        path = self.file("rules.yml", "groups: [{name: g, rules: [{alert: A, expr: 'up{job=\"a\"} == 0 and', for: 5m}]}]")
        done = run("pint", "--no-color", "--offline", "lint", path, check=False)
        self.assertNotEqual(done.returncode, 0)


class Dashboards(TestCase):
    def test_grafanas_linter_is_content(self):
        for path in DASHBOARDS:
            with self.subTest(dashboard=path.name):
                run("dashboard-linter", "lint", "--strict", path)

    def test_grafanas_linter_sees_a_mistake(self):
        text = "".join(read(path) for path in DASHBOARDS)
        for right, wrong in [("$__rate_interval", "5m"), ('job=~\\"$job\\", ', ""), ("${datasource}", "P1809F7CD0C75ACF3")]:
            with self.subTest(wrong=wrong):
                self.assertIn(right, text)
                seen = [run("dashboard-linter", "lint", "--strict", self.file(path.name, read(path).replace(right, wrong)), check=False).returncode
                        for path in DASHBOARDS]
                self.assertIn(1, seen)


if __name__ == "__main__":
    unittest.main()
