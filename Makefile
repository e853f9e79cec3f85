# The two commands of the README, and what they are made of.

CARGO ?= cargo

.PHONY: demo test bench soak dashboards tools lint unit

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

# Tests with processes wait most of their time: more of them than there are cores run at once.
unit:
	$(CARGO) test --locked --lib --bins
	RUST_TEST_THREADS=6 $(CARGO) test --locked --test integration
	$(CARGO) test --locked --doc

# Measures what docs/performance.md promises, in release mode, some minutes long. One part: make bench ARGS="sweep"
bench:
	scripts/bench-tools.sh
	$(CARGO) bench --locked --bench figures -- $(ARGS)

# Writes dashboards/*.json anew from their generator; a test keeps them in step.
dashboards:
	PYTHONDONTWRITEBYTECODE=1 python3 dashboards/generator

# Longer than a test may take: 200 kills of the daemon, and a flipped bit at twenty times as many places of the ledger.
soak:
	SOAK=1 $(CARGO) test --locked --lib ledger::tests::safety -- --nocapture
	SOAK=1 $(CARGO) test --locked --test integration crash -- --nocapture
