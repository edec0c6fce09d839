# Everything a developer or a user does hangs off this file. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# Any Python 3.13 will do: the one named so, or plain `python3` if it is one.
PYTHON ?= $(shell for p in python3.13 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null && echo $$p && break; done)
LAYER := layers/sqlite-engine
GRAPHIQL := $(LAYER)/graphiql
STUDIO := $(LAYER)/studio
# Where the operator API's wheels are made; they are compiled here.
OPERATOR := build/operator
VENDOR := $(LAYER)/lamdb/server/static/vendor
STUDIO_FILES := $(LAYER)/lamdb/server/static/studio
COMMANDS_COMPILED := $(LAYER)/lamdb/cluster/runtime/commands.bin
ORACLE := tests/oracles/prisma_node
E2E   := tests/e2e/node
# Clients of SQL over HTTP, in Node and in Python.
CLIENTS_NODE := tests/e2e/clients
CLIENTS_VENV := .venv-clients
VENV  := .venv
BIN   := $(VENV)/bin
# SAM pins much of what it uses, so that it has an environment of its own.
SAM_VENV := .venv-sam
MUTATION_VENV := .venv-mutation
DOCS_VENV := .venv-docs
DOCS := docs/site
SAM   := PATH="$(CURDIR)/$(BIN):$$PATH" SAM_CLI_TELEMETRY=0 $(SAM_VENV)/bin/sam
ENV   ?= default
PORT  ?= 8000
HOST  ?= 127.0.0.1
STORE ?= file://$(CURDIR)/.lamdb/demo
PYTEST_ARGS ?= -n auto
# Where `make wheel` puts the wheel.
WHEELS ?= build/wheels
SECONDS ?= 600
CLIENTS ?= 200

.PHONY: help setup build run oracle e2e sam sam-build wheel packed-wheel engine image doctor deploy test test-fast soak soak-lambda soak-sql hostile mutants docs lint format bench bench-record bench-storage bench-search bench-sql lock clean

help: ## List the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

$(VENV)/.installed: requirements-dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "lamDB needs Python 3.13 (python3.13 on the PATH)." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(LAYER)/node_modules/.installed $(GRAPHIQL)/node_modules/.installed $(STUDIO)/node_modules/.installed \
		$(E2E)/node_modules/.installed $(DOCS)/node_modules/.installed \
		$(CLIENTS_NODE)/node_modules/.installed: \
		%/node_modules/.installed: %/package-lock.json
	cd $* && npm ci --silent --ignore-scripts
	@touch $@

# The oracle's database driver is compiled where no prebuilt one can be had: Node's own headers serve, if there.
# Its SQLite is compiled with few optimisations: the others take half a minute, and save the tests less.
$(ORACLE)/node_modules/.installed: $(ORACLE)/package-lock.json
	cd $(ORACLE) && npm ci --silent --ignore-scripts
	cd $(ORACLE) && prefix=$$(node -p 'path.resolve(process.execPath, "../..")') && \
		if test -e "$$prefix/include/node/node.h"; then export npm_config_nodedir="$$prefix"; fi && \
		CFLAGS=-O1 npm rebuild --silent better-sqlite3
	@touch $@

$(LAYER)/lamdb/prisma/engines/.built: $(VENV)/.installed $(LAYER)/node_modules/.installed \
		$(addprefix $(LAYER)/lamdb/prisma/wasm/,artifacts.py build.py glue.py recorder.wat recorder_bridge.wat)
	$(BIN)/python -m lamdb.prisma.wasm.build $(LAYER)/node_modules
	@touch $@

# Without a compiler, or if compiling fails, lamDB works but for the operator API, and this says so each time.
$(VENV)/.operator: $(VENV)/.installed $(addprefix $(LAYER)/,build-operator.sh requirements-operator.txt \
		requirements-operator-build.txt)
	@if $(LAYER)/build-operator.sh "$(CURDIR)/$(BIN)/python" $(OPERATOR); then \
		$(BIN)/python -m pip install --quiet --no-index --no-deps --force-reinstall $(OPERATOR)/wheels/*.whl && touch $@; \
	elif test $$? != 3; then \
		echo "lamDB goes without the operator API (/admin/graphql): it could not be compiled, see above." >&2; fi

$(VENDOR)/.built: $(GRAPHIQL)/node_modules/.installed $(GRAPHIQL)/build.mjs $(GRAPHIQL)/licences.mjs $(wildcard $(GRAPHIQL)/src/*)
	cd $(GRAPHIQL) && node build.mjs
	@touch $@

$(STUDIO_FILES)/.built: $(STUDIO)/node_modules/.installed $(STUDIO)/build.mjs $(GRAPHIQL)/licences.mjs $(wildcard $(STUDIO)/src/*)
	cd $(STUDIO) && node build.mjs
	@touch $@

# The methods of commands' dataclasses, compiled once here and not at each start.
# After the operator API, because that installs packages anew which commands import.
$(COMMANDS_COMPILED): $(VENV)/.installed $(shell find $(LAYER)/lamdb -name '*.py' -not -path '*/static/*') | $(VENV)/.operator
	@$(BIN)/python -m lamdb.cluster.runtime.precompile $@ --commands

setup: $(COMMANDS_COMPILED) $(VENV)/.installed $(VENV)/.operator $(LAYER)/lamdb/prisma/engines/.built $(VENDOR)/.built $(STUDIO_FILES)/.built ## Install what lamDB needs, build what it serves

build: setup ## The same as setup: everything a running lamDB reads is then in place

run: setup ## Serve the demo database (PORT, HOST and STORE may be set)
	$(BIN)/lamdb serve --store "$(STORE)" --database database --host $(HOST) --port $(PORT)

lint: setup ## ruff and mypy --strict
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: setup ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

oracle: $(ORACLE)/node_modules/.installed ## Install Prisma Client's engine on Node, which the tests compare with

e2e: $(E2E)/node_modules/.installed $(CLIENTS_NODE)/node_modules/.installed $(CLIENTS_VENV)/.installed ## Install the clients, the audit and the browser driver of the end-to-end tests

$(CLIENTS_VENV)/.installed: requirements-clients.txt
	@test -n "$(PYTHON)" || { echo "lamDB needs Python 3.13 (python3.13 on the PATH)." >&2; exit 1; }
	@test -x $(CLIENTS_VENV)/bin/python || $(PYTHON) -m venv $(CLIENTS_VENV)
	$(CLIENTS_VENV)/bin/python -m pip install --quiet --require-hashes -r requirements-clients.txt
	@touch $@

# Tests start hundreds of processes, each of which would compile lamDB's modules anew if Python were told to keep none.
test test-fast: export PYTHONDONTWRITEBYTECODE =

# `make --jobs` prepares several things at a time. Commands that the tests run have no part in its jobs.
test: lint oracle e2e sam docs ## Lint, types and the whole test suite
	env -u MAKEFLAGS -u MFLAGS $(BIN)/pytest $(PYTEST_ARGS)

soak: setup ## Kill, freeze and fail everything for a while (SECONDS), and check what is left
	$(BIN)/python -m tests.soak --seconds $(SECONDS) --json build/soak.json

soak-lambda: SECONDS = 60
soak-lambda: setup ## Many clients (CLIENTS, for SECONDS) of one writer in a local Lambda, calm and in chaos
	$(BIN)/python -m tests.lambda.soak --seconds $(SECONDS) --clients $(CLIENTS) --json build/soak-lambda.json

soak-sql: TRANSACTIONS = 1000000
soak-sql: setup ## Transactions over batons in chaos (TRANSACTIONS), checked by a bank and a register
	$(BIN)/python -m tests.soak.sql --transactions $(TRANSACTIONS)

hostile: setup ## Attack a server, and check that everybody else is served
	$(BIN)/python -m tests.hostile --json build/hostile.json

# Of each module all mutants take hours: MUTANTS="--sample 80", or names of modules.
MUTANTS ?=
mutants: $(MUTATION_VENV)/.installed setup ## Change the storage in small ways, and count the changes that no test notices
	$(BIN)/python -m tests.mutation $(MUTANTS)

$(MUTATION_VENV)/.installed: requirements-mutation.txt
	@test -n "$(PYTHON)" || { echo "lamDB needs Python 3.13 (python3.13 on the PATH)." >&2; exit 1; }
	@test -x $(MUTATION_VENV)/bin/python || $(PYTHON) -m venv $(MUTATION_VENV)
	$(MUTATION_VENV)/bin/python -m pip install --quiet --require-hashes -r requirements-mutation.txt
	@touch $@

$(DOCS_VENV)/.installed: requirements-docs.txt
	@test -n "$(PYTHON)" || { echo "lamDB needs Python 3.13 (python3.13 on the PATH)." >&2; exit 1; }
	@test -x $(DOCS_VENV)/bin/python || $(PYTHON) -m venv $(DOCS_VENV)
	$(DOCS_VENV)/bin/python -m pip install --quiet --require-hashes -r requirements-docs.txt
	@touch $@

docs: $(DOCS_VENV)/.installed $(DOCS)/node_modules/.installed ## Build the documentation as a site in build/site
	NO_MKDOCS_2_WARNING=1 $(DOCS_VENV)/bin/mkdocs build
	@echo "build/site/index.html; to search it: python3 -m http.server --directory build/site"

test-fast: setup ## The tests that take seconds
	env -u MAKEFLAGS -u MFLAGS $(BIN)/pytest -m "not slow" $(PYTEST_ARGS)

$(SAM_VENV)/.installed: requirements-sam.txt
	@test -n "$(PYTHON)" || { echo "lamDB needs Python 3.13 (python3.13 on the PATH)." >&2; exit 1; }
	@test -x $(SAM_VENV)/bin/python || $(PYTHON) -m venv $(SAM_VENV)
	$(SAM_VENV)/bin/python -m pip install --quiet --require-hashes -r requirements-sam.txt
	@touch $@

sam: $(SAM_VENV)/.installed ## Install the AWS SAM command line

sam-build: sam setup ## Build layer and functions for AWS, for this machine's processor
	LAMDB_CONFIG_ENV=$(ENV) $(SAM) build --config-env $(ENV)

# A wheel for this kind of machine: it carries engines that are compiled for the processor and link to no library.
# `build/lib` is removed because setuptools would pack what an earlier build left there.
wheel: setup packed-wheel ## Build the installable package in build/wheels (WHEELS)

packed-wheel:
	@rm -rf build/lib build/bdist.*
	@$(BIN)/python -m pip --disable-pip-version-check wheel --quiet --no-deps --no-build-isolation --wheel-dir "$(WHEELS)" \
		--config-settings=--build-option=--plat-name="$$($(BIN)/python -c 'import sys, sysconfig; \
			platform = sysconfig.get_platform().replace("-", "_").replace(".", "_"); \
			print(platform.replace("linux_", "manylinux_2_17_") if sys.platform == "linux" else platform)')" .
	@ls -l "$(WHEELS)"/lamdb-*.whl

engine:
	@docker version >/dev/null 2>&1 || { echo "This needs Docker, and \`docker version\` finds no engine." >&2; exit 1; }

image: engine ## Build the Docker image of the standalone server (docs/docker.md)
	docker build --tag lamdb .

doctor: setup
	$(BIN)/lamdb doctor --aws --config-env $(ENV)

# The account is looked at before anything is built.
deploy: | doctor sam-build ## Deploy to AWS (ENV=default, staging or prod; see docs/deploy.md)
	$(SAM) deploy --config-env $(ENV)

bench: setup ## Measure against the floors
	$(BIN)/python -m bench
	$(BIN)/python -m bench shapes

bench-record: setup ## Measure, and put the figures into README.md and docs/performance.md
	$(BIN)/python -m bench --json bench/recorded/requests.json
	$(BIN)/python -m bench shapes --json bench/recorded/shapes.json
	$(BIN)/python -m bench.tables

bench-storage: setup ## Measure storage over an S3 protocol, beside Litestream
	$(BIN)/python -m bench.storage

bench-search: setup ## Measure full-text search over Debian's package descriptions, beside others
	$(BIN)/python -m pip install --quiet tantivy
	$(BIN)/python -m bench.search

bench-sql: setup ## Requests per second of SQL over HTTP, beside the floor
	$(BIN)/python -m bench.sql

lock: $(VENV)/.installed ## Pin the dependencies anew
	$(BIN)/uv pip compile --group layer --upgrade --generate-hashes --no-emit-index-url \
		--no-emit-find-links --python-version 3.13 --quiet -o $(LAYER)/requirements.txt
	$(BIN)/uv pip compile pyproject.toml --group layer --upgrade --extra dev --generate-hashes \
		--no-emit-index-url --no-emit-find-links --python-version 3.13 --quiet -o requirements-dev.txt
	$(BIN)/uv pip compile pyproject.toml --upgrade --generate-hashes --no-emit-index-url \
		--no-emit-find-links --python-version 3.13 --quiet -o requirements-server.txt
	@# tartiflette asks for cffi 1, and the tests try it with what else is installed.
	echo tartiflette==1.4.1 | $(BIN)/uv pip compile - --upgrade --override <(echo 'cffi>=2') --constraint requirements-dev.txt \
		--generate-hashes --no-emit-index-url --no-emit-find-links --python-version 3.13 --quiet \
		--custom-compile-command "make lock" -o $(LAYER)/requirements-operator.txt
	sed -i.old '/--override/d' $(LAYER)/requirements-operator.txt && rm $(LAYER)/requirements-operator.txt.old
	printf 'cmake>=3.31,<4\nsetuptools>=80\n' | $(BIN)/uv pip compile - --upgrade --generate-hashes --no-emit-index-url \
		--no-emit-find-links --python-version 3.13 --quiet --custom-compile-command "make lock" \
		-o $(LAYER)/requirements-operator-build.txt
	echo aws-sam-cli | $(BIN)/uv pip compile - --upgrade --generate-hashes --no-emit-index-url --no-emit-find-links \
		--python-version 3.13 --quiet -o requirements-sam.txt
	echo mkdocs-material | $(BIN)/uv pip compile - --upgrade --generate-hashes --no-emit-index-url --no-emit-find-links \
		--python-version 3.13 --quiet --custom-compile-command "make lock" -o requirements-docs.txt
	@# mutmut runs the tests, and so has what they need beside it.
	echo mutmut | $(BIN)/uv pip compile - pyproject.toml --group layer --upgrade --extra dev \
		--constraint requirements-dev.txt --generate-hashes --no-emit-index-url --no-emit-find-links --python-version 3.13 \
		--quiet --custom-compile-command "make lock" -o requirements-mutation.txt
	printf 'gql[httpx]\nlibsql\nlibsql-experimental\nsqlalchemy\nsqlalchemy-libsql\n' | $(BIN)/uv pip compile - --upgrade --generate-hashes \
		--no-emit-index-url --no-emit-find-links --python-version 3.13 --quiet --custom-compile-command "make lock" \
		-o requirements-clients.txt

clean: ## Remove everything that was installed or built (not your data in .lamdb)
	rm -rf $(VENV) $(SAM_VENV) $(MUTATION_VENV) $(CLIENTS_VENV) $(DOCS_VENV) .aws-sam $(addsuffix /node_modules,$(LAYER) $(GRAPHIQL) $(STUDIO) $(ORACLE) $(E2E) $(CLIENTS_NODE) $(DOCS)) $(LAYER)/lamdb/prisma/engines $(VENDOR) $(STUDIO_FILES)
	rm -rf build .mypy_cache .ruff_cache .pytest_cache
