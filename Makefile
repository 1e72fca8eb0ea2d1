# Simplicity's commands. Every target does its own set-up; nothing outside this folder is changed.
# Three tiers of checks: `make test`, then `.ci/run` (which calls it), then `make prove`.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3.11 python3 python3.12 python3.13 python3.14; do "$$p" -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
CODE := audit indexer infra playbooks runbooks alerts dashboards loadtests tests
WORKERS ?= 2
ARGS ?=

# A user without a home directory has nowhere else to keep a cache.
ifeq ($(wildcard $(HOME)/.),)
export UV_CACHE_DIR := $(CURDIR)/.simplicity/cache/uv
export HOME := $(CURDIR)/.simplicity
endif

.PHONY: help
help: ## Show this help
	@echo 'Simplicity: everything needed to run a Universal BRC-20 indexer in production, and to trust it.'
	@echo
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-16s %s\n", $$1, $$2 }'
	@echo
	@echo 'Examples: make up ARGS="--rate 2 --seed 7"; make test ARGS="-k reorg"; make down'

# --- the envelope ---------------------------------------------------------------------------------------------------
.PHONY: up down status reset fleet
up: ## Set up and bring the whole envelope up on this machine
	@start=$$(date +%s); $(MAKE) -s $(VENV)/.local; \
	SIMPLICITY_SETUP_SECONDS=$$(( $$(date +%s) - start )) $(BIN)/simplicity up $(ARGS)

status: $(VENV)/.local ## Show what runs where, the tip and the state hash
	@$(BIN)/simplicity status $(ARGS)

down: $(VENV)/.local ## Stop the envelope; no process is left
	@$(BIN)/simplicity down $(ARGS)

reset: $(VENV)/.local ## Stop the envelope and delete its data
	@$(BIN)/simplicity reset $(ARGS)

fleet: $(VENV)/.dev $(VENV)/.fleet ## Boot real Debian hosts on this machine, to deploy to (root): docs/fleet.md
	@$(BIN)/simplicity fleet up $(ARGS)

# --- checks ---------------------------------------------------------------------------------------------------------
.PHONY: test coverage prove prove-backups prove-dashboards prove-deploy prove-cloud mutate-alerts lint format format-check types imports security-scan generated
test: $(VENV)/.dev ## Set up and pass the tests: unit and integration, on real components
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup -m 'not proof and not fleet' $(ARGS)

coverage: ## The same tests, measured: at least 95 % of what they are about
	@$(MAKE) test ARGS='--cov --cov-report= $(ARGS)'
	$(BIN)/coverage report --fail-under=95

prove: $(VENV)/.dev $(VENV)/.client $(VENV)/.browser ## The full proofs: long outages, many kills, many random chains
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup -m proof --timeout 1200 $(ARGS)

prove-backups: $(VENV)/.dev ## Kill runbooks, forge the trail, damage, lose and restore databases (ARGS=--quick: minutes)
	$(BIN)/python -m tests.prove.backups $(ARGS)

prove-dashboards: $(VENV)/.dev ## Fire alerts by real faults, see every panel move and come back (ARGS=--quick: alerts only, minutes)
	$(BIN)/python -m tests.prove.observability $(ARGS)

prove-deploy: $(VENV)/.dev $(VENV)/.fleet ## Deploy, roll back, cut the power of real hosts, under load (root; ARGS=--quick: minutes)
	$(BIN)/python -m tests.prove.deploy $(ARGS)

prove-cloud: $(VENV)/.dev ## Check every component and policy of the cloud, rehearse all stacks without an account
	$(BIN)/pytest -n $(WORKERS) -q tests/infra/cloud/tiers tests/infra/cloud/policies
	$(BIN)/simplicity infrastructure rehearse $(ARGS)

mutate-alerts: $(VENV)/.dev ## Break every alert rule in every way that counts: its tests have to notice (ARGS='--only ApiDown')
	$(BIN)/python -m tests.mutate $(ARGS)

lint: $(VENV)/.dev ## Lint the code, the shell, the SQL and the playbooks
	$(BIN)/ruff check $(CODE) .ci
	$(BIN)/vulture
	$(BIN)/deptry .
	$(BIN)/shellcheck .ci/run .ci/*.sh infra/fleet/*.sh
	$(BIN)/yamllint --strict --config-file playbooks/.yamllint playbooks
	cd playbooks && PATH="$(CURDIR)/$(BIN):$$PATH" ANSIBLE_CONFIG=ansible.cfg ANSIBLE_INVENTORY=/dev/null ANSIBLE_INVENTORY_UNPARSED_FAILED=False ansible-lint --offline --profile production -q
	$(BIN)/squawk --assume-in-transaction indexer/store/migrations/versions/*.sql
	$(BIN)/zizmor --offline --no-progress --quiet --persona pedantic .github
	@PATH="$(CURDIR)/$(BIN):$(CURDIR)/$(VENV)/tools:$$PATH"; if command -v actionlint > /dev/null; then actionlint; \
	else echo 'actionlint: left out: `make tools` builds it where Go is'; fi

format: $(VENV)/.dev ## Format the code
	$(BIN)/ruff check --fix --select I $(CODE) .ci
	$(BIN)/ruff format $(CODE) .ci

format-check: $(VENV)/.dev ## Check the format
	$(BIN)/ruff format --check $(CODE) .ci

types: $(VENV)/.dev ## Check the types, strictly
	$(BIN)/mypy

imports: $(VENV)/.dev ## Check that folders import only what the architecture allows
	$(BIN)/lint-imports

security-scan: $(VENV)/.dev ## Scan the code (bandit) and audit the dependencies (pip-audit)
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive alerts audit dashboards indexer infra loadtests runbooks
	$(BIN)/python .ci/audit_dependencies.py requirements/dev.txt

generated: $(VENV)/.dev ## Check that generated files are what their sources generate
	$(BIN)/python .ci/lock_requirements.py --check
	$(BIN)/python .ci/check_openapi.py --check
	$(BIN)/python .ci/check_runbooks.py --check
	$(BIN)/python .ci/check_alerts.py --check
	$(BIN)/python .ci/check_dashboards.py --check
	$(BIN)/python .ci/check_kubernetes.py --check
	$(BIN)/python .ci/check_cloud.py --check

.PHONY: docs tools lock
docs: $(VENV)/.local ## Check that every link of the documentation leads somewhere
	$(BIN)/python .ci/check_links.py

tools: $(VENV)/.local ## Build helm, kubeconform and actionlint, where Go is: checks that need them are left out without
	@for script in .ci/install_*_tools.sh; do "$$script"; done

lock: $(VENV)/.dev ## Compile the hash-pinned requirements anew (ARGS=--upgrade for newer versions)
	$(BIN)/python .ci/lock_requirements.py $(ARGS)

# --- measurements ---------------------------------------------------------------------------------------------------
.PHONY: bench-index bench-api check-leaks fuzz
bench-index: $(VENV)/.dev ## Measure the indexer against its targets (ARGS=--quick: a minute; --profile, --json FILE)
	$(BIN)/python -m tests.bench.index $(ARGS)

bench-api: $(VENV)/.dev ## Measure the API against its targets, faults included (ARGS=--quick: a minute; --only, --json FILE)
	$(BIN)/python -m tests.bench.api $(ARGS)

check-leaks: $(VENV)/.dev ## Follow 20 000 blocks and bound the growth of memory a block
	$(BIN)/python -m tests.leak $(ARGS)

fuzz: $(VENV)/.dev ## Feed mutated blocks and payloads to decoder, parser and rules (ARGS='--minutes 10')
	$(BIN)/python -m tests.fuzz $(ARGS)

# --- releases and the cloud: docs/pipelines.md -----------------------------------------------------------------------
# STACK, RELEASE, FROM, RELEASE_TAG come from outside: the shell reads them, so that none becomes part of a command's text.
.PHONY: release publish take-release cloud-plan cloud-up cloud-drift cloud-document deploy-site deploy-release deploy-promote
release: $(VENV)/.dev ## Build and sign this commit's release: dist/simplicity-ID.tar (ARGS='--key FILE --passed tests')
	$(BIN)/python .ci/releases.py build $(ARGS)

publish: ## Make the page of a release with its archive, by gh (RELEASE_TAG=v0.2.0)
	gh release create "$$RELEASE_TAG" --verify-tag --title "$$RELEASE_TAG" --notes-file CHANGELOG.md dist/*.tar

take-release: $(VENV)/.dev ## Put a release from dist/ into this control node's store (STACK=staging RELEASE=ID)
	$(BIN)/python .ci/releases.py take "$$RELEASE" --environment "dist/$$STACK.json"

cloud-plan: $(VENV)/.dev ## Show what `pulumi up` would change (STACK=staging)
	pulumi preview --stack "$$STACK" --policy-pack infra/cloud/policies --diff --non-interactive

cloud-up: $(VENV)/.dev ## Change the cloud to what the program says (STACK=staging)
	pulumi up --stack "$$STACK" --policy-pack infra/cloud/policies --yes --non-interactive

cloud-drift: $(VENV)/.dev ## Fail where the cloud is not what the program says (STACK=staging)
	pulumi preview --stack "$$STACK" --refresh --expect-no-changes --diff --non-interactive

cloud-document: $(VENV)/.dev ## Write the Environment document of a stack: dist/STACK.json (STACK=staging)
	@mkdir -p dist
	pulumi stack output environment --stack "$$STACK" --json > "dist/$$STACK.json"

deploy-site: $(VENV)/.dev ## Make of a stack's hosts what they are to be (STACK=staging RELEASE=ID)
	$(BIN)/simplicity deploy site --release "$$RELEASE" --environment "dist/$$STACK.json"

deploy-release: $(VENV)/.dev ## Deploy a release to a stack's hosts (STACK=staging RELEASE=ID)
	$(BIN)/simplicity deploy release "$$RELEASE" --environment "dist/$$STACK.json"

deploy-promote: $(VENV)/.dev ## Deploy what another stack has run (FROM=staging STACK=production RELEASE=ID)
	$(BIN)/simplicity deploy promote "$$RELEASE" --from "dist/$$FROM.json" --environment "dist/$$STACK.json"

# --- set-up ---------------------------------------------------------------------------------------------------------
$(VENV)/.uv: requirements/uv.txt
	@test -n '$(PYTHON)' || { echo 'make: needs Python 3.11 or later with venv: apt install python3.11 python3.11-venv' >&2; exit 2; }
	@echo 'set-up: virtual environment ($(PYTHON))'
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

$(VENV)/.local: requirements/local.txt pyproject.toml $(VENV)/.uv
	@echo 'set-up: packages of the envelope'
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --require-hashes -r requirements/local.txt
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.local
	@echo 'set-up: packages of the checks'
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --require-hashes -r requirements/dev.txt
	@touch $@

$(VENV)/.client: requirements/client.txt $(VENV)/.local
	@echo 'set-up: generator of the typed client'
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(VENV)/client
	@VIRTUAL_ENV=$(VENV)/client $(BIN)/uv pip install --quiet --require-hashes -r requirements/client.txt
	@touch $@

# The one thing that is not kept in this folder: a browser needs a hundred libraries of the system's.
$(VENV)/.browser: $(VENV)/.local
	@command -v chromium > /dev/null || { echo 'set-up: chromium, from the distribution'; \
	test "$$(id -u)" = 0 || { echo 'make: the proofs of pages need a browser: apt-get install chromium' >&2; exit 2; }; \
	apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends chromium > /dev/null; }
	@touch $@

# Hosts are made of the distribution's packages, by its own tools.
$(VENV)/.fleet: $(VENV)/.local
	@for tool in mmdebstrap systemd-nspawn apt-ftparchive ip ssh; do command -v $$tool > /dev/null && continue; \
	echo 'set-up: tools that make and boot hosts, from the distribution'; \
	test "$$(id -u)" = 0 || { echo 'make: a fleet needs root, and mmdebstrap systemd-container apt-utils iproute2 openssh-client' >&2; exit 2; }; \
	apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends mmdebstrap systemd-container apt-utils iproute2 openssh-client > /dev/null; break; done
	@touch $@
