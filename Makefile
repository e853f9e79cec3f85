# The commands of the README and of CONTRIBUTING.md, and what they are made of.

CARGO ?= cargo

.PHONY: demo test test-deploy release static bench soak dashboards tools lint unit

# Builds, then runs the simulator and an exporter that watches it. Flags: make demo ARGS="--web.listen-address=:9000"
demo:
	$(CARGO) run --release --locked -- demo $(ARGS)

# Installs what the tests need, checks format, lints and documentation, and runs all tests.
test: tools lint unit

tools:
	scripts/test-tools.sh
	scripts/sdk-venv.sh
	scripts/page-tools.sh

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items

# Tests with processes wait most of their time: more of them than there are cores run at once. They and what they start are as
# nice as can be: the daemon's threads that poll take the time that others leave, and would hardly get a turn beside them else.
unit:
	$(CARGO) test --locked --lib --bins
	RUST_TEST_THREADS=4 nice -n 19 $(CARGO) test --locked --test integration
	$(CARGO) test --locked --doc

# Needs Go 1.26 or later, and root for containers. Image, compose file, chart, unit, release, rules and dashboards, by the field's own
# tools; then the tests with a Prometheus in them once more, with Prometheus 3 in the place of Debian's.
test-deploy:
	deploy/tests/tools.sh
	deploy/tests/image.sh
	target/deploy-tools/venv/bin/python -m unittest discover --start-directory deploy/tests --verbose
	PATH="$(CURDIR)/target/deploy-tools/bin:$$PATH" RUST_TEST_THREADS=4 nice -n 19 $(CARGO) test --locked --test integration -- prom kit

# One static program, as the release and the image hold it. Another one: make static ARCHITECTURE=arm64
ARCHITECTURE ?= amd64
static:
	scripts/static-tools.sh
	. scripts/build-variables.sh && scripts/static-build.sh $(ARCHITECTURE)

# Archives, chart, SBOM and checksums in target/release-archives: the same commit makes the same bytes.
release:
	scripts/release.sh

# Measures what docs/performance.md promises, in release mode, some minutes long. One part: make bench ARGS="sweep"
bench:
	scripts/bench-tools.sh
	. scripts/build-variables.sh && $(CARGO) bench --locked --bench figures -- $(ARGS)

# Writes dashboards/*.json anew from their generator; a test keeps them in step.
dashboards:
	PYTHONDONTWRITEBYTECODE=1 python3 dashboards/generator

# Longer than a test may take: 200 kills of the daemon, and a flipped bit at twenty times as many places of the ledger.
soak:
	SOAK=1 $(CARGO) test --locked --lib ledger::tests::safety -- --nocapture
	SOAK=1 $(CARGO) test --locked --test integration crash -- --nocapture
