# What there is to do here. Each task says what it does and installs what it lacks.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test check bench build sim mutants upgrade schemathesis fuzz faults faults-long soak

# The demo is built without optimisation: from nothing that takes about two minutes on two cores,
# a release build eight or more, and the demo's pace is set by its participants (CONTRIBUTING.md).
DEMO_ARGS ?=
BENCH_ARGS ?=
TEST_ARGS ?=

help: ## Show the tasks
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 13

demo: ## Run sagas across three HTTP services, some of which fail (DEMO_ARGS="--sagas 2000 --exit", REDIS=1)
	@scripts/setup $(if $(REDIS),demo-redis,demo)
	@echo 'demo: building (about 2 minutes the first time)'
	cargo run --bin amends -- demo $(if $(REDIS),--redis) $(DEMO_ARGS)

build: ## Build the optimised binary, target/release/amends
	@scripts/setup demo
	cargo build --release --bin amends

test: ## Run all tests; they start their own PostgreSQL and Redis
	@scripts/setup test
	cargo build --workspace --bins
	cargo test --workspace $(TEST_ARGS)

check: ## Format, lints, docs, layers, licences: everything but the tests
	@scripts/setup check
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --quiet
	cargo test --package amends-tests --test layers --quiet
	@if cargo deny --version >/dev/null 2>&1; then \
		cargo deny --log-level error check licenses bans sources; \
	else \
		echo 'check: NOT DONE: licences and sources, since cargo-deny is not installed (cargo install cargo-deny)'; \
	fi

# SEEDS=500 runs so many, SEED=1 begins there; without both, a minute from a fresh seed.
sim: ## Run the engine over a simulated world (SEEDS=500 SEED=1)
	@scripts/setup demo
	cargo run --release --package amends-sim -- $(if $(SEEDS),--seeds $(SEEDS),--seconds 60) $(if $(SEED),--seed $(SEED))

# In a folder of its own, since everything is built anew with the faults in it.
mutants: ## Plant faults in the engine and let the simulator find them (SEEDS=500 SEED=1)
	@scripts/setup demo
	RUSTFLAGS='--cfg amends_mutants' cargo run --release --target-dir target/mutants --package amends-sim -- \
		--mutants $(or $(SEEDS),500) $(if $(SEED),--seed $(SEED))

# ARGS: FAULTS_ARGS="--list" shows the kinds, "--only kill-" makes some, "--seed 1" repeats a run.
FAULTS_ARGS ?=

# The coordinator that dies at its points is built where everything else is: half of it is there.
define build_faults
	@scripts/setup test
	cargo build --package amends-server --features failpoints
	mkdir -p target/failpoints/debug && cp target/debug/amends target/failpoints/debug/
	cargo build --package amends-server --package amends-faults
endef

faults: ## Kill, stop, cut off and fill up real processes, and check the books (10 minutes)
	$(build_faults)
	target/debug/amends-faults --seconds 600 $(FAULTS_ARGS)

faults-long: ## The same for an hour, in random order; writes its table into docs/reliability.md
	$(build_faults)
	target/debug/amends-faults --seconds 3600 --again --write docs/reliability.md $(FAULTS_ARGS)

# From a fresh seed; SEED=1 repeats a run, as far as the server answers in the same order; SECONDS=300
# makes a longer one.
schemathesis: ## Hold the server against its OpenAPI document (SEED=1 SECONDS=300)
	@scripts/setup test
	cargo build --bin amends
	AMENDS_SCHEMATHESIS_SEED=$(or $(SEED),$$RANDOM) $(if $(SECONDS),AMENDS_SCHEMATHESIS_SECONDS=$(SECONDS)) \
		cargo test --package amends-tests --test schemathesis -- --nocapture

# SECONDS=300 is the time for each target; TARGET=journal takes one.
fuzz: ## Run the fuzz targets with libFuzzer, which needs cargo-fuzz and a nightly toolchain (SECONDS=60)
	@tests/fuzz/run $(or $(SECONDS),60) $(TARGET)

# The first release is built from its commit, which tests/fixtures/0.1.0/COMMIT names.
upgrade: ## Read what the first release left, and run it and this one over one database
	@scripts/setup test
	cargo build --bin amends
	first=$$(scripts/first-release) && AMENDS_FIRST_RELEASE=$$first cargo test --package amends-tests --test upgrade -- --nocapture

# Its figures are those of a debug build, which has the same bounds and is there already.
soak: ## Keep a server at its bounds and above them; its memory must stay flat (SECONDS=600)
	@scripts/setup demo
	cargo build --package amends-server --package amends-soak
	target/debug/amends-soak --seconds $(or $(SECONDS),600)

bench: ## Measure sagas per second and latency (BENCH_ARGS="--help" tells what can be set)
	@scripts/setup test
	cargo run --release --bin amends -- bench $(BENCH_ARGS)
