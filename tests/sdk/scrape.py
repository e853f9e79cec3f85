"""Reads a metrics page as Python programs do, with the strict parser of prometheus_client: scrape.py URL.

Prints the number of samples, exemplars and `_created` samples of the OpenMetrics form.
"""

import gzip
import sys
import urllib.request

import requests
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as text_format

URL = sys.argv[1]
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT = "text/plain; version=0.0.4; charset=utf-8"
# What a scrape itself, or the clock, moves.
MOVING = ("process_", "emr_serverless_spark_exporter_")


def fetch(accept, encoding):
    answer = requests.get(URL, headers={"Accept": accept, "Accept-Encoding": encoding}, timeout=30)
    answer.raise_for_status()
    assert answer.headers.get("Content-Encoding") == (encoding if encoding == "gzip" else None), answer.headers
    assert answer.headers["Vary"] == "Accept, Accept-Encoding", answer.headers
    assert answer.headers["Content-Type"] == accept, answer.headers
    return answer.content.decode()


def samples(families):
    found = {}
    for family in families:
        for sample in family.samples:
            if sample.name.startswith(MOVING) or sample.name.endswith("_created") and family.type != "gauge":
                continue
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, f"a second time: {key}"
            found[key] = sample.value
    return found


def main():
    pages = {(accept, encoding): fetch(accept, encoding) for accept in (OPEN_METRICS, TEXT) for encoding in ("identity", "gzip")}
    strict = list(open_metrics(pages[OPEN_METRICS, "gzip"]))
    forms = [samples(open_metrics(pages[OPEN_METRICS, encoding])) for encoding in ("identity", "gzip")]
    forms += [samples(text_format(pages[TEXT, encoding])) for encoding in ("identity", "gzip")]
    for form in forms[1:]:
        assert form == forms[0], set(form.items()) ^ set(forms[0].items())

    # Python's own gzip module, over all members.
    request = urllib.request.Request(URL, headers={"Accept": OPEN_METRICS, "Accept-Encoding": "gzip"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        body = answer.read()
        assert int(answer.headers["Content-Length"]) == len(body)
    assert gzip.decompress(body).endswith(b"\n# EOF\n")

    for family in strict:
        if family.unit:
            assert family.name.endswith("_" + family.unit), family
        elif family.name.endswith(("_seconds", "_bytes", "_ratio")):
            raise AssertionError(f"no unit: {family.name}")
    every = [sample for family in strict for sample in family.samples]
    exemplars = [sample for sample in every if sample.exemplar]
    for sample in exemplars:
        assert sample.name.endswith("_bucket") and sample.exemplar.value <= float(sample.labels["le"]), sample
        assert list(sample.exemplar.labels)[0] in ("session_id", "session_cluster_id"), sample
    created = [sample for sample in every if sample.name.endswith("_created")]
    print(len(every), len(exemplars), len(created))


main()
