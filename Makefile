# Two commands: `make reproduce` (set up, run the main job) and `make test` (set up, pass the tests).
# Both are safe to repeat, work offline once set up, and need no root.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
PYTHON ?= python3
# Empty: what this machine and a container's quota allow (profiles/default).
CORES ?=
GPUS ?= 4
# Of those of params.yaml; empty: all, as they are recorded.
SEEDS ?= 0,1,2
BASELINE ?= ../baseline

# Without written bytecode every job would recompile torch's thousands of modules.
export PYTHONDONTWRITEBYTECODE :=
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help setup reproduce report test test-all record restore unlock docs lock lint clean-setup baseline

help:
	@echo "make reproduce   set up, then run the main job: the scale of params.yaml, three of its seeds (SEEDS= for all)"
	@echo "make report      tables, figures and report from recorded results, in minutes; compares what was computed here"
	@echo "make test        set up, then run the tests"
	@echo "make test-all    the same with the slow tests"
	@echo "make record      put what dvc repro made into DVC's store, for others to restore"
	@echo "make restore     bring recorded results back from DVC's store without recomputing"
	@echo "make unlock      free the folder of a killed run's lock, if nothing is alive"
	@echo "make clean-setup remove what set-up made (.boot, .venv); the next command makes it anew"
	@echo "make baseline    in clones below BASELINE (../baseline): results that later commits are compared with"
	@echo "make lint        ruff, snakefmt and snakemake --lint"
	@echo "make docs        bring docs/settings.md and the numbers quoted in README.md and docs up to date"
	@echo "make lock        resolve requirements/requirements.in into requirements/lock.txt"

setup:
	@PYTHON="$(PYTHON)" bash tools/setup.sh

clean-setup:
	rm -rf .boot .venv

unlock: setup
	@python -m fedgenbench.commands.start --unlock

reproduce: setup
	python -m fedgenbench.commands.start $(if $(CORES),--cores $(CORES)) --resources gpu=$(GPUS) \
	  --quiet rules reason host $(if $(SEEDS),--config seeds=$(SEEDS))
	@echo; echo "The report:"; ls results/*/report/report.html results/*/report/report.pdf

report: setup
	python -m fedgenbench report

test: setup
	pytest -n 2 -m "not slow"

test-all: setup
	pytest -n 2

record: setup
	python -m fedgenbench.commands.record

restore: setup
	python -m fedgenbench.commands.restore

baseline: setup
	CORES="$(CORES)" bash tools/record_baseline.sh "$(BASELINE)"

lint: setup
	lint-imports
	mypy
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile rules
	bash tools/lint_workflow.sh

docs: setup
	python -m fedgenbench.plan.pages
	python tools/architecture.py
	python -m fedgenbench.report.quotes

lock:
	bash tools/lock.sh
