"""The Helm chart: linted and rendered by helm, its manifests held against the schemas of Kubernetes and the Prometheus Operator."""

import json
import re
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
    ({"serviceMonitor": {"basicAuth": {"username": {"name": "web", "key": "user"}}}}, "set guarded"),
    ({"config": {"web": {"enable_lifecycle": True}}}, "enable_lifecycle"),
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

    def test_a_changed_setting_replaces_the_pod_unless_a_reload_is_wanted(self):
        quiet, verbose = ({"config": {"log": {"level": level}}} for level in ["info", "debug"])
        templates = [self.one("StatefulSet", values)["spec"]["template"] for values in (quiet, verbose)]
        self.assertNotEqual(*(template["metadata"]["annotations"] for template in templates))
        self.assertNotIn("--web.enable-lifecycle", templates[0]["spec"]["containers"][0]["args"])
        templates = [self.one("StatefulSet", values | {"restartOnConfigChange": False})["spec"]["template"] for values in (quiet, verbose)]
        self.assertEqual(*templates)
        self.assertIn("--web.enable-lifecycle", templates[0]["spec"]["containers"][0]["args"])
        # What changes is mounted as a directory: the kubelet renews a file below it, but none that is mounted by itself.
        mounts = {mount["name"]: mount for mount in templates[0]["spec"]["containers"][0]["volumeMounts"]}
        self.assertNotIn("subPath", mounts["config"])

    def test_probes_ask_where_they_are_let_in(self):
        def probes(values):
            container = self.one("StatefulSet", values)["spec"]["template"]["spec"]["containers"][0]
            return [container[f"{name}Probe"] for name in ["startup", "liveness", "readiness"]]

        for scheme in ["HTTP", "HTTPS"]:
            asked = [(probe["httpGet"]["path"], probe["httpGet"]["scheme"]) for probe in probes({"scheme": scheme})]
            self.assertEqual(asked, [("/-/healthy", scheme), ("/-/healthy", scheme), ("/-/ready", scheme)])
        self.assertEqual([probe["tcpSocket"] for probe in probes({"guarded": True})], [{"port": "http"}] * 3)

    def test_keys_come_as_files_and_roles_by_the_service_account(self):
        everything = CHART / "ci/everything-values.yaml"
        spec = self.one("StatefulSet", everything)["spec"]["template"]["spec"]
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        self.assertEqual(volumes["keys"]["secret"]["secretName"], "exporter-keys")
        token = volumes["rrsa-token"]["projected"]["sources"][0]["serviceAccountToken"]
        self.assertEqual(token["audience"], "sts.aliyuncs.com")
        variables = {variable["name"]: variable["value"] for variable in spec["containers"][0]["env"]}
        mounts = {mount["name"]: mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]}
        self.assertEqual(variables["ALIBABA_CLOUD_OIDC_TOKEN_FILE"], f"{mounts['rrsa-token']}/{token['path']}")
        annotations = self.one("ServiceAccount", everything)["metadata"]["annotations"]
        self.assertEqual(annotations["pod-identity.alibabacloud.com/role-name"], "spark-exporter")

    def test_what_selects_pods_selects_this_one(self):
        rendered = {manifest["kind"]: manifest for manifest in self.render(CHART / "ci/everything-values.yaml")}
        labels = rendered["StatefulSet"]["spec"]["template"]["metadata"]["labels"]
        service = rendered["Service"]
        selectors = [service["spec"]["selector"], *(rendered[kind]["spec"][field]["matchLabels"] for kind, field in
                     [("StatefulSet", "selector"), ("NetworkPolicy", "podSelector"), ("PodDisruptionBudget", "selector")])]
        for selector in selectors:
            # No version: a selector may not change.
            self.assertEqual(set(selector), {"app.kubernetes.io/name", "app.kubernetes.io/instance"})
            self.assertLessEqual(selector.items(), labels.items())
        monitored = rendered["ServiceMonitor"]["spec"]
        self.assertLessEqual(monitored["selector"]["matchLabels"].items(), service["metadata"]["labels"].items())
        self.assertEqual(monitored["endpoints"][0]["port"], service["spec"]["ports"][0]["name"])
        # The alert for an exporter that is down looks for it.
        job = next(rule["replacement"] for rule in monitored["endpoints"][0]["relabelings"] if rule["targetLabel"] == "job")
        self.assertIn("emr-serverless-spark", job)

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

    def test_links_lead_where_the_values_say(self):
        everything = {"prometheusRule": {"enabled": True}, "dashboards": {"enabled": True}}
        texts = [yaml.safe_dump(manifest) for manifest in self.render({**everything, "documentationUrl": "https://git.example.com/docs/"})]
        texts = [text for text in texts if "kind: PrometheusRule" in text or ".json" in text]
        self.assertTrue(any("https://git.example.com/docs/runbooks/EmrSparkExporterDown.md" in text for text in texts))
        for text in texts:
            self.assertNotIn("/-/docs", text)
        self.assertIn("/-/docs/runbooks", yaml.safe_dump_all(self.render(everything)))

    def test_settings_and_flags_are_good_ones(self):
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
                (container, *_) = self.one("StatefulSet", values)["spec"]["template"]["spec"]["containers"]
                command, *flags = container["args"]
                self.assertEqual(command, "serve")
                flags = [flag.replace(f"/etc/{NAME}/exporter.yaml", str(path)) for flag in flags]
                self.assertIn(f"--config.file={path}", flags)
                run(PROGRAM, "check-config", *flags, env=env)
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

    def test_every_value_is_in_the_schema_and_used(self):
        schema = json.loads((CHART / "values.schema.json").read_text())
        values = yaml.safe_load((CHART / "values.yaml").read_text())
        self.assertEqual(set(values) | {"global"}, set(schema["properties"]))
        templates = "".join(path.read_text() for path in (CHART / "templates").iterdir())
        used = set(re.findall(r"[.$][Vv]alues\.(\w+)", templates))
        self.assertEqual(set(values), used)

    def test_the_documentation_renders_what_it_shows(self):
        shown = read(CHART / "README.md").split("```yaml\n")[1].split("```")[0]
        kinds = {manifest["kind"] for manifest in self.render(yaml.safe_load(shown))}
        self.assertLessEqual({"ServiceMonitor", "PrometheusRule", "NetworkPolicy", "PodDisruptionBudget"}, kinds)


if __name__ == "__main__":
    unittest.main()
