# Filestore's verbs. `make help` lists them; all they need is Python 3.11 or later, make, and Go for Temporal's first build.

# What this machine calls a Python that is new enough; empty when there is none. Name one yourself with PYTHON=...
new_enough = $(shell $(1) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(1))
PYTHON ?= $(or $(call new_enough,python3),$(call new_enough,python3.13),$(call new_enough,python3.12),$(call new_enough,python3.11))

UV_VERSION := 0.13.8
UV := .tools/uv-$(UV_VERSION)/bin/uv
RUN := .venv/bin
DEV := $(RUN)/python deploy/dev.py

export UV_PYTHON_DOWNLOADS := never
export UV_SYSTEM_CERTS := true
export UV_PROJECT_ENVIRONMENT := .venv

.DEFAULT_GOAL := help
.PHONY: help dev up demo demo-sync stop status check-record logs reset test test-slow server check fmt bench

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

dev: .venv/synced ## start everything and stay until Ctrl-C
	@exec $(DEV) up --foreground --demo

up: .venv/synced ## start everything in the background; returns when all is ready
	@$(DEV) up --background --demo

demo: .venv/synced ## put files through the service and show what came of it; DATA=folder
	@$(DEV) demo $(if $(DATA),"$(DATA)")

demo-sync: .venv/synced ## two folders as two servers: what is written in one is in the other
	@$(DEV) demo-sync

stop: .venv/synced ## stop what `up` or `dev` started; data is kept
	@$(DEV) stop

status: .venv/synced ## what runs; fails unless all of it is well, mounts too
	@$(DEV) status

check-record: .venv/synced ## compare journal, record and storage; ARGS="--sweep --level content"
	@$(DEV) check -- $(ARGS)

logs: .venv/synced ## the logs; NAME=api for one, ARGS=-f to follow
	@$(DEV) logs $(NAME) $(ARGS)

reset: .venv/synced ## stop, and remove all data of the stack
	@$(DEV) reset

test: check server ## checks, then all tests but the slow ones; ARGS=... for pytest
	$(RUN)/pytest -m "not slow" -n 3 --dist worksteal $(ARGS)

test-slow: server ## the long sweeps; ARGS=... for pytest
	$(RUN)/pytest -m slow $(ARGS)

# Before the tests, whose patience it would outlast: the first time it takes minutes, and is shown.
server: .venv/synced
	@$(DEV) build

check: .venv/synced ## lint, format, layering, types
	$(RUN)/ruff check
	$(RUN)/ruff format --check
	$(RUN)/lint-imports
	$(RUN)/mypy
	$(RUN)/basedpyright

fmt: .venv/synced ## put the code into shape
	$(RUN)/ruff check --fix
	$(RUN)/ruff format

bench: .venv/synced ## measure beside the limits of this machine; BENCH=commands, ARGS=...
	$(RUN)/python -m tests.bench.$(or $(BENCH),commands) $(ARGS)

# Stamped, so that a second call costs nothing and needs no network.
.venv/synced: $(UV) pyproject.toml uv.lock
	@echo "Installing the Python packages and servers that uv.lock names into .venv"
	@$(UV) sync --frozen --python "$(PYTHON)"
	@touch $@

$(UV):
	$(if $(PYTHON),,$(error Python 3.11 or later is needed; none of python3, python3.13, python3.12, python3.11 is one. Install it, or name it: make PYTHON=/path/to/python))
	@echo "Installing uv $(UV_VERSION) into .tools"
	@rm -rf .tools/uv-$(UV_VERSION)
	@"$(PYTHON)" -m venv .tools/uv-$(UV_VERSION)
	@.tools/uv-$(UV_VERSION)/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@
