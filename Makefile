# Two commands are enough: `make demo` and `make test`. Works with GNU make 3.81.
# Everything is installed into ./.venv, from one lock for all platforms.

PYTHON = .venv/bin/python
READY = .venv/.ready
PEERS = tests/benchmarks/peers/requirements.lock
MODEL = smollm2-135m
PIP = $(PYTHON) -m pip --disable-pip-version-check --no-input

.PHONY: demo test check storm soak format docs packs picture lock peers wheel clean model

demo: model
	@.venv/bin/meshai demo

test: model
	@$(PYTHON) -m pytest $(ARGS)

# Lint, types, import contracts, and full branch coverage of the protocol.
check: $(READY)
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy
	@.venv/bin/lint-imports --no-cache
	@$(PYTHON) -m coverage run -m pytest -q tests/test_protocol_*.py tests/test_airtime.py
	@$(PYTHON) -m coverage report

# Hard hours for the node code in virtual time, different with every seed: what CI runs, and as many as asked for.
storm: $(READY)
	@.venv/bin/meshai sim storm --seeds 50

soak: $(READY)
	@.venv/bin/meshai sim storm --seeds $(or $(SEEDS),1000) --first $(or $(FIRST),1000)

format: $(READY)
	@$(PYTHON) -m ruff check --fix .
	@$(PYTHON) -m ruff format .

# Writes the pages that are made from the code.
docs: $(READY)
	@$(PYTHON) -m meshai.reference > docs/cli.md

# Makes every text pack anew from nodes/packs_corpus. Other bytes need other numbers in protocol/text/registry.py.
packs: $(READY)
	@for corpus in nodes/packs_corpus/*.train.txt.xz nodes/packs_corpus/chat/chat.train.txt.xz; do \
		name=$$(basename $$corpus .train.txt.xz); \
		.venv/bin/meshai packs train $$name $$corpus --out protocol/text/packs/$$name.pack || exit 1; \
	done
	@$(PYTHON) docs/pack_notices.py

# Draws docs/demo.svg from a run of the demo.
picture: model
	@$(PYTHON) docs/picture.py

# Brings the locks up to date with pyproject.toml and tests/benchmarks/peers/requirements.in.
lock: $(READY)
	@.venv/bin/uv --no-config pip compile --quiet --universal --generate-hashes --python-version 3.11 \
		--custom-compile-command "make lock" --group build --group dev pyproject.toml -o requirements.lock
	@.venv/bin/uv --no-config pip compile --quiet --universal --generate-hashes --python-version 3.11 \
		--custom-compile-command "make lock" tests/benchmarks/peers/requirements.in -o $(PEERS)

# What the benchmarks compare with, in an environment of its own; one of them is built, so a C compiler is needed.
peers: .venv-peers/.ready

wheel: $(READY)
	@$(PIP) wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	@ls dist/*.whl

model: $(READY)
	@.venv/bin/meshai models get $(MODEL)

$(READY): requirements.lock pyproject.toml .ci/python
	@python=$$(sh .ci/python) && echo "Setting up .venv with $$python; this takes a minute." && "$$python" -m venv --clear .venv
	@$(PIP) install --quiet --only-binary :all: --require-hashes -r requirements.lock
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $(READY)

.venv-peers/.ready: $(PEERS) | $(READY)
	@$(PYTHON) -m venv --clear --without-pip .venv-peers
	@$(PIP) --python .venv-peers install --quiet --require-hashes --build-constraint $(PEERS) -r $(PEERS)
	@touch $@

clean:
	@rm -rf .venv .venv-peers dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
