# Every command a developer or a newcomer needs; `make` alone lists them.
PYTHON ?= python3
DEMO_SECONDS ?= 0
DEMO_HTTP_PORT ?= 8765
DEMO_MQTT_PORT ?= 18830
MINUTES ?= 30
RUN = .venv/bin/
SHARED = -n 2 --dist loadfile --no-loadscope-reorder --durations 25 --max-worker-restart 0  # a worker that dies ends the run, or loadfile would wait for ever

.DEFAULT_GOAL := help
.PHONY: containers help setup demo test lint format bench chaos kills image image-test pictures schemas constraints clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install everything for development into .venv
	@$(PYTHON) deploy/prepare.py all

demo: ## broker, collector and a counting trap on this machine; DEMO_SECONDS=30 ends by itself
	@$(PYTHON) deploy/prepare.py demo
	@$(RUN)python -m trap_deploy.demo --seconds $(DEMO_SECONDS) --http-port $(DEMO_HTTP_PORT) --mqtt-port $(DEMO_MQTT_PORT)

test: setup lint ## lint, types and all tests
	@$(RUN)python -m pytest $(SHARED) tests/export  # apart: after the converters a process may die at its next signal
	@$(RUN)python -m pytest $(SHARED) --ignore tests/export

kills: setup ## the agent killed a hundred times before the real collector
	@CHAOS_KILLS=100 $(RUN)python -m pytest --timeout 3600 tests/device/test_kills.py

lint: setup ## ruff (format and rules) and mypy
	@$(RUN)ruff format --check -q . || (echo "run: make format"; exit 1)
	@$(RUN)ruff check -q .
	@$(RUN)mypy --no-error-summary

format: setup ## put the code into its one format
	@$(RUN)ruff format -q . && $(RUN)ruff check -q --fix .

bench: setup ## every number that a document claims, measured here
	@for file in benchmarks/*.py; do echo "== $$file"; $(RUN)python $$file || exit 1; done

chaos: setup ## faults under a seeded schedule against the whole collector; MINUTES=30, and SEED=N goes on from a seed
	@cd tests && ../$(RUN)python -m server.chaos.run --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

image: setup ## build the trap's SD card image into dist/image (as root; MIRROR=http://HOST/debian)
	@$(RUN)python -m trap_deploy.image $(if $(MIRROR),--mirror $(MIRROR)) \
	  $(if $(FLAVOUR),--flavour $(FLAVOUR)) $(if $(FURTHER),--further-mirror $(FURTHER))

image-test: setup ## boot the image in an emulator and do to it what SCENARIOS (all) say; takes an hour
	@$(RUN)python -m trap_deploy.boot $(SCENARIOS)

containers: setup ## lint and build the containers; BASE=IMAGE and DIGEST=sha256:... name another base
	@$(RUN)python docker/containers.py $(if $(BASE),--base $(BASE)) $(if $(DIGEST),--digest $(DIGEST))

pictures: setup ## take the documents' pictures from the running program (needs chromium)
	@$(RUN)python docs/take_pictures.py
	@$(RUN)python docs/take_field_pictures.py
	@$(RUN)python benchmarks/first_count.py --page docs/first-count.png

schemas: setup ## write docs/protocol from the message models
	@$(RUN)python -m trap_contract.protocol docs/protocol

constraints: setup ## pin again everything that pyproject.toml allows
	@$(RUN)uv pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 \
	  --no-emit-index-url --no-annotate --no-header --upgrade -q -o constraints.txt

clean: ## remove what runs and demos left (not .venv, not models)
	@rm -rf runs demo-data dist build .cache .mypy_cache .pytest_cache .ruff_cache
