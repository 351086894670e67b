# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

.DEFAULT_GOAL := help
BIN := .venv/bin
INVENTORY := $(or $(LAB_DIR),.lab)/inventory.yml
PLAY := $(BIN)/ansible-playbook -i $(INVENTORY)

.PHONY: help
help: ## Show the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1|\2/p' Makefile | awk -F'|' '{ printf "  %-12s %s\n", $$1, $$2 }'

.PHONY: venv
venv: ## Make .venv with the pinned tools (instant when up to date)
	@tests/tools/bootstrap

.PHONY: lint
lint: venv ## ruff, yamllint, ansible-lint, mypy, changelog fragments
	@tests/tools/lint

.PHONY: docs-lint
docs-lint: venv ## The documentation of every module and role
	@tests/tools/docs-lint

.PHONY: sanity
sanity: venv ## ansible-test sanity, without ignore files
	@tests/tools/sanity

.PHONY: unit
unit: venv ## Unit and property tests
	$(BIN)/pytest tests/unit

.PHONY: need-root
need-root:
	@[ "$$(id -u)" = 0 ] || { echo "The lab boots real hosts: run make as root." >&2; exit 1; }

.PHONY: tools
tools: need-root venv ## Install what the tests and the lab need of this machine
	@$(BIN)/python -m tests.lab tools

.PHONY: lab-up
lab-up: need-root venv ## Boot the lab's bare hosts; may be run again at any time
	$(BIN)/python -m tests.lab up

.PHONY: lab-store
lab-store: lab-up ## The lab with a replicating store, mail in it, a mail exchanger and a name server
	$(PLAY) mailops.cyrus.setup
	$(BIN)/python -m tests.lab.site

.PHONY: lab-down
lab-down: need-root venv ## Remove the lab
	$(BIN)/python -m tests.lab down

.PHONY: scenarios
scenarios: need-root venv ## The molecule scenarios, on the lab
	tests/tools/scenarios

.PHONY: demo
demo: lab-up ## From bare hosts to a parity report, a difference found, and a switchover
	tests/demo

.PHONY: test
test: need-root venv ## Everything, from lint to scenarios; removes the lab in the end
	@tests/tools/test

.PHONY: test-all
test-all: ## test plus the long runs
	@TEST_LONG=1 $(MAKE) test

.PHONY: bench
bench: lab-up ## Parity and the replicator against sync_client; the outage of a switchover
	$(BIN)/python -m tests.benchmark
	$(BIN)/python -m tests.benchmark.replicator
	$(BIN)/python -m tests.benchmark.switchover

.PHONY: chaos
chaos: need-root venv ## Rounds of fault, failover and rejoin under load: ROUNDS=n, SEED=s or CARD=c of an earlier run
	$(BIN)/python -m tests.chaos $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SEED),--seed $(SEED)) $(if $(CARD),--card '$(CARD)')

.PHONY: clean
clean: ## Remove what was built in this checkout; run lab-down first
	@[ ! -e $(INVENTORY) ] || { echo "The lab may be up: run make lab-down first." >&2; exit 1; }
	rm -rf .venv .build .cache .ansible .hypothesis .mypy_cache .pytest_cache .ruff_cache
