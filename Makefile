# Everything a newcomer types. `make` alone lists the targets.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.SILENT:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

VENV := .venv
INSTALLED := $(VENV)/.installed
BASELINE := main
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export DVC_NO_ANALYTICS := true
export PYTHONHASHSEED := 0
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help venv repro test test-fast lint format types bench torture back weights plots report docs cache clean-cache repair

help: ## list the targets
	bold=""; plain=""
	if [ -t 1 ]; then bold=$$'\033[1m'; plain=$$'\033[0m'; fi
	awk -F ':.*## ' -v bold="$$bold" -v plain="$$plain" \
	  '/^[a-z-]+:.*## / {printf "  %smake %-12s%s %s\n", bold, $$1, plain, $$2}' $(MAKEFILE_LIST)
	echo "  make repro and make test are all a fresh clone needs; both start with make venv."

# The stamp holds the hash of what was installed: repeating installs nothing, changing a pin does.
venv: ## create .venv and install the pinned requirements (once: minutes, about 6 GB)
	wanted=$$(sha256sum requirements.txt 2>/dev/null || shasum -a 256 requirements.txt)
	wanted=$${wanted%% *}
	if [ ! -x $(VENV)/bin/python ] || [ "$$(cat $(INSTALLED) 2>/dev/null)" != "$$wanted" ]; then
	  if [ ! -x $(VENV)/bin/python ]; then
	    found=""
	    for candidate in $(PYTHON) python3.11 python3.12 python3.13 python3 python; do
	      if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
	        found=$$candidate
	        break
	      fi
	    done
	    if [ -z "$$found" ]; then
	      echo "error: Python 3.11 or newer is needed, but python3 is $$(python3 -V 2>&1 || true);" \
	        "install one, or name it: make venv PYTHON=/path/to/python3.11" >&2
	      exit 1
	    fi
	    echo "Creating $(VENV) with $$found ($$("$$found" -V))"
	    if ! "$$found" -m venv $(VENV); then
	      rm -rf $(VENV)
	      echo "error: $$found could not create a virtual environment; on Debian and Ubuntu its package" \
	        "python3-venv (or python3.11-venv) is missing" >&2
	      exit 1
	    fi
	  fi
	  echo "Installing $$(grep -c == requirements.txt) pinned packages (minutes the first time, about 6 GB) ..."
	  if ! $(VENV)/bin/python -m pip install -qq --requirement requirements.txt; then
	    echo "error: the packages could not be installed (see above: network? disk?); run make venv again" >&2
	    exit 1
	  fi
	  echo "$$wanted" > $(INSTALLED)
	fi
	# DVC's pages load their scripts from the net unless they are given a template of our own.
	[ -f .dvc/plots/offline.html ] || python -m facemask page

repro: venv ## run the pipeline: only what changed; prints the scores
	if ! git rev-parse --git-dir >/dev/null 2>&1; then
	  echo "error: no git repository here (a ZIP download?), and DVC works in one: git init && git add -A &&" \
	    "git commit -m start, then make repro" >&2
	  exit 1
	fi
	python -m facemask repair
	dvc repro
	echo
	python -m facemask scores
	echo
	echo "submission   data/infer/submission.csv"
	echo "all numbers  metrics/        compare with: dvc metrics diff"
	echo "pictures     make plots      (confusion matrices, learning curves, contact sheets)"

test: venv ## all tests (minutes)
	python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder --durations 25

test-fast: venv ## the tests that take less than half a second each
	python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m "not slow"

lint: venv ## style, docstrings and the direction of imports
	ruff check .
	ruff format --check .
	lint-imports --no-cache

format: venv ## let ruff put the code into shape
	ruff check --fix .
	ruff format .

types: venv ## mypy --strict
	mypy

bench: venv ## measure every claim of speed (over an hour, on an idle machine); writes docs/benchmarks.md
	python -m benchmarks.bench

torture: venv ## kill the pipeline, feed it damaged input, a hundred experiments (hours); writes docs/reliability.json
	python -m benchmarks.torture

back: venv ## leave an experiment: params, metrics and outputs as in the last commit; says what is undone
	git --no-pager diff HEAD -- params.yaml
	git restore --source=HEAD --staged --worktree -- params.yaml dvc.lock metrics
	if ! dvc checkout --force dvc.yaml >/dev/null; then
	  echo "error: params and metrics are those of the last commit, but its outputs are not all on this machine (see" \
	    "above): dvc repro makes them, dvc pull fetches them where there is a remote" >&2
	  exit 1
	fi

weights: venv ## list pretrained weights, or fetch some: make weights NAME='yunet u2net'
	python -m facemask weights $(NAME)

plots: venv ## write the plots into one page that opens without a network
	dvc plots show --out dvc_plots

report: venv ## one page for a reviewer, compared with main or with BASELINE=REV; opens it
	dvc repro report
	python -m facemask report --baseline "$(BASELINE)"

docs: venv ## after changing the params' schema: rewrite docs/params.md
	python -m facemask params > .params.md.part
	mv .params.md.part docs/params.md

cache: venv ## show how much the memo of per-photo results holds, and how much it may
	python -m facemask cache

clean-cache: ## delete the memo of the neural networks' per-photo results (changes no output)
	rm -rf .cache

repair: venv ## mend what a killed run left behind (dvc.lock, locks); make repro does so by itself
	python -m facemask repair
