# `make demo` and `make test` do everything on a fresh machine; both can be run again. `make help` lists the rest.
CARGO ?= cargo
TOOL = --package polyhost-toolchain --features setup --bin polyhost-setup
SETUP = $(CARGO) run --quiet $(TOOL) --
PYTHON = .venv/bin/python

# How long `make fuzz` takes for each test, in seconds.
FUZZ ?= 30

# How long `make hunt` takes, in seconds.
HUNT ?= 600

.PHONY: help demo test test-web fuzz hunt races sanitize setup report fmt lint docs bench targets clean

help: ## Lists these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: setup ## Runs one service in C#, Python, Lua and C, and serves an ASP.NET Core application
	$(CARGO) run --release --package polyhost --features "$$($(SETUP) features)" --example middleware

test: setup ## Runs every test
	@$(SETUP) ensure protoc conformance
	$(CARGO) test --no-fail-fast $$($(SETUP) scope)
	$(SETUP) csharp-tests
	@if [ -x $(PYTHON) ]; then $(PYTHON) -m pytest --quiet python; else echo "skipped: the Python tests: no .venv"; fi

test-web: setup ## Has Chromium load the pages of the examples and click through them
	$(CARGO) test $$($(SETUP) scope) --test browser -- --ignored

fuzz: setup ## Feeds damaged bytes to everything that reads foreign ones, FUZZ=30 seconds each
	POLYHOST_FUZZ_SECONDS=$(FUZZ) RUST_TEST_THREADS=8 \
	    $(CARGO) test --no-fail-fast $$($(SETUP) scope) --lib --bins --test fuzz fuzz_

hunt: setup ## Looks for deadlocks among the runtimes, for HUNT=600 seconds
	POLYHOST_HUNT_SECONDS=$(HUNT) $(CARGO) test $$($(SETUP) scope) --test crossing -- --nocapture

races: setup ## Has loom run every order in which threads may take turns, where they share what no lock guards
	RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=3 CARGO_TARGET_DIR=$${CARGO_TARGET_DIR:-target}/races $(CARGO) test --release --lib races \
	    --package polyhost-bridge --package polyhost-cpython --package polyhost-luajit

# The address of a local is how hosts tell what is left of a stack; faults are the runtimes' own, and some guests' purpose;
# what a process has at its end is no leak. A shared library does not find what it needs of AddressSanitizer in a program.
ASAN = detect_leaks=0:detect_stack_use_after_return=0:handle_segv=0:handle_abort=0:use_sigaltstack=0:allocator_may_return_null=1

sanitize: setup ## Runs the suite with AddressSanitizer in all that is Rust
	RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address CARGO_BUILD_TARGET=x86_64-unknown-linux-gnu ASAN_OPTIONS=$(ASAN) \
	    CARGO_TARGET_DIR=$${CARGO_TARGET_DIR:-target}/address $(CARGO) test --package polyhost --test conformance \
	    --features "$$($(SETUP) features)" -- --skip library::

setup: ## Gets the runtimes onto this machine, where they are missing
	$(CARGO) build $(TOOL)
	@$(SETUP) ensure

report: ## Tells what is found on this machine, and where
	@$(SETUP) report

fmt: ## Formats all sources
	$(CARGO) fmt --all
	$(PYTHON) -m ruff format .
	if command -v stylua >/dev/null; then stylua lua hosts benches; fi

lint: setup ## Checks formats and lints
	$(CARGO) fmt --all --check
	$(CARGO) clippy $$($(SETUP) scope) --all-targets -- --deny warnings

docs: setup ## Builds the documentation, without warnings
	RUSTDOCFLAGS="--deny warnings" $(CARGO) doc $$($(SETUP) scope) --no-deps

# LABEL is what you call the machine; FULL=1 measures everything, in some hours.
LABEL ?= local
BENCH = $(CARGO) run --release --package polyhost-bench --

bench: setup ## Measures all contenders in ten minutes (LABEL=machine, FULL=1), into benches/results
	$(CARGO) build --release --package polyhost-bench --bins
	$(BENCH) run --label $(LABEL) --out benches/results/ $(if $(FULL),--full)

targets: setup ## Measures, and compares with the targets of the project (LABEL=machine), into benches/results
	$(CARGO) build --release --package polyhost-bench --bins
	mkdir -p benches/results
	$(BENCH) run --suite targets --label $(LABEL) --json benches/results/$$(date -u +%F)-$(LABEL)-targets.json

clean: ## Removes what was built; what was set up stays in .dotnet and .venv
	$(CARGO) clean
	rm -rf target
