"""The Helm chart: linted and rendered by helm, its manifests held against the schemas of Kubernetes and the Prometheus Operator."""

import json
import unittest

from common import CHART, NAME, PROGRAM, ROOT, TOOLS, VERSION, TestCase, documents, helm, read, run, yaml

VALUES = [None, *sorted((CHART / "ci").glob("*-values.yaml"))]

# Values that the chart must refuse, each with a piece of the message.
REFUSED = [
    ({"imagee": {}}, "imagee"),
    ({"service": {"port": 0}}, "port"),
    ({"config": {"accounts": []}}, "accounts"),
    ({"config": {"accounts": [{"credentials": {"access_key_secret": "clear"}}]}}, "access_key_secret"),
    ({"config": {"ledger": {"path": "/elsewhere"}}}, "path"),
    ({"rrsa": {"roleArn": "acs:ram::1:role/r"}}, "oidcProviderArn"),
    ({"persistence": {"accessModes": ["ReadWriteMany"]}}, "accessModes"),
    ({"podDisruptionBudget": {"maxUnavailable": 2}}, "maxUnavailable"),
]


class Chart(TestCase):
    def render(self, values=None, *flags) -> list[dict]:
        return documents(self.text(values, *flags))

    def text(self, values=None, *flags) -> str:
        if isinstance(values, dict):
            values = self.file("values.yaml", values)
        flags = [*flags, *(["--values", values] if values else [])]
        return helm("template exporter", CHART, "--namespace=monitoring", *flags).stdout

    def config(self, values) -> str:
        """The exporter's settings in the ConfigMap."""
        data = [manifest["data"] for manifest in self.render(values) if manifest["kind"] == "ConfigMap"]
        return next(entry["exporter.yaml"] for entry in data if "exporter.yaml" in entry)

    def one(self, kind: str, values=None) -> dict:
        found = [manifest for manifest in self.render(values) if manifest["kind"] == kind]
        self.assertEqual(len(found), 1, kind)
        return found[0]

    def test_versions_follow_the_program(self):
        chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
        self.assertEqual((chart["version"], chart["appVersion"]), (VERSION, VERSION))

    def test_helm_lints_it(self):
        for values in VALUES:
            with self.subTest(values=values and values.name):
                helm("lint --strict", CHART, *(["--values", values] if values else []))

    def test_manifests_fit_the_schemas(self):
        location = f"{TOOLS}/schemas/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json"
        for values in VALUES:
            with self.subTest(values=values and values.name):
                text = self.text(values)
                done = run("kubeconform", "-strict", "-output=json", "-summary", f"-schema-location={location}", input=text)
                summary = json.loads(done.stdout)["summary"]
                self.assertEqual(summary["valid"], len(documents(text)), done.stdout)

    def test_a_wrong_manifest_does_not_fit(self):
        location = f"{TOOLS}/schemas/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json"
        text = self.text(CHART / "ci/everything-values.yaml")
        for right, wrong in [("replicas: 1", "replicas: one"), ("readOnlyRootFilesystem", "readonlyRootFilesystem"),
                             ("scrapeTimeout", "scrapeTimeOut"), ("podSelector", "podsSelector")]:
            with self.subTest(wrong=wrong):
                self.assertIn(right, text)
                done = run("kubeconform", "-strict", f"-schema-location={location}", input=text.replace(right, wrong), check=False)
                self.assertEqual(done.returncode, 1, done.stdout)

    def test_the_pod_is_restricted(self):
        spec = self.one("StatefulSet")["spec"]
        pod, container = spec["template"]["spec"], spec["template"]["spec"]["containers"][0]
        # What the Pod Security Standard `restricted` asks for.
        self.assertTrue(pod["securityContext"]["runAsNonRoot"])
        self.assertEqual(pod["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
        self.assertEqual(container["securityContext"]["capabilities"], {"drop": ["ALL"]})
        self.assertFalse(container["securityContext"]["allowPrivilegeEscalation"])
        self.assertTrue(container["securityContext"]["readOnlyRootFilesystem"])
        self.assertFalse(pod["automountServiceAccountToken"])
        self.assertFalse(pod["enableServiceLinks"])
        self.assertEqual(spec["replicas"], 1)
        self.assertEqual(spec["volumeClaimTemplates"][0]["metadata"]["name"], "ledger")

    def test_names_stay_short_enough(self):
        name = self.one("StatefulSet", CHART / "ci/existing-claim-values.yaml")["metadata"]["name"]
        self.assertLessEqual(len(name), 52)

    def test_rules_and_dashboards_are_those_of_the_repository(self):
        rendered = self.render(CHART / "ci/demo-values.yaml")
        rules = {manifest["metadata"]["name"]: manifest["spec"] for manifest in rendered if manifest["kind"] == "PrometheusRule"}
        files = sorted((ROOT / "config/prometheus/rules").glob("*.yml"))
        self.assertEqual(len(rules), len(files))
        for path in files:
            name = f"exporter-{NAME}-{path.stem.replace('_', '-')}"
            self.assertEqual(rules[name], yaml.safe_load(path.read_text(encoding="utf-8")), path.name)
        dashboards = {key: value for manifest in rendered if manifest["kind"] == "ConfigMap"
                      for key, value in manifest["data"].items() if key.endswith(".json")}
        files = sorted((ROOT / "dashboards").glob("*.json"))
        self.assertEqual(sorted(dashboards), [path.name for path in files])
        for path in files:
            self.assertEqual(json.loads(dashboards[path.name]), json.loads(path.read_text(encoding="utf-8")))

    def test_the_settings_are_good_ones(self):
        keys = self.directory / "keys"
        keys.mkdir()
        for name in ["access-key-id", "access-key-secret"]:
            (keys / name).write_text("example")
        for values in [None, {"existingSecret": {"name": "keys"}}, CHART / "ci/everything-values.yaml"]:
            with self.subTest(values=values):
                config = self.config(values)
                mounted = "/var/run/secrets/emr-serverless-spark-exporter"
                path = self.file("exporter.yaml", config.replace(mounted, str(keys)))
                env = {"ALIBABA_CLOUD_ROLE_ARN": "acs:ram::1:role/r", "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": "acs:ram::1:oidc-provider/p",
                       "ALIBABA_CLOUD_OIDC_TOKEN_FILE": str(keys / "access-key-id")}
                run(PROGRAM, "check-config", f"--config.file={path}", env=env)
                self.assertEqual(mounted in config, values is not None)

    def test_the_secret_serves_accounts_without_credentials_alone(self):
        accounts = yaml.safe_load(self.config(CHART / "ci/everything-values.yaml"))["accounts"]
        self.assertEqual([account["credentials"]["type"] for account in accounts], ["static", "oidc"])

    def test_mistakes_are_refused(self):
        for values, message in REFUSED:
            with self.subTest(values=values):
                path = self.file("values.yaml", values)
                done = helm("template exporter", CHART, "--values", path, check=False)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(message, done.stderr)

    def test_every_value_is_in_the_schema_and_its_comments_name_real_ones(self):
        schema = json.loads((CHART / "values.schema.json").read_text())
        values = yaml.safe_load((CHART / "values.yaml").read_text())
        self.assertEqual(set(values) | {"global"}, set(schema["properties"]))
        templates = "".join(path.read_text() for path in (CHART / "templates").iterdir())
        for value in values:
            self.assertIn(f".Values.{value}", templates)

    def test_the_documentation_renders_what_it_shows(self):
        shown = read(CHART / "README.md").split("```yaml\n")[1].split("```")[0]
        kinds = {manifest["kind"] for manifest in self.render(yaml.safe_load(shown))}
        self.assertLessEqual({"ServiceMonitor", "PrometheusRule", "NetworkPolicy", "PodDisruptionBudget"}, kinds)


if __name__ == "__main__":
    unittest.main()
