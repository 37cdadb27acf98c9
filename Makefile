# Two commands are enough: `make run` and `make test`. Both first see to .venv, which takes less than a second
# when nothing changed. PYTHON=... names the Python to use; ARGS=... goes on to pytest, to uv or to the program;
# JOBS=... is how many processes share the tests.

BIN := .venv/bin
OFFSCREEN := QT_QPA_PLATFORM=offscreen
JOBS := 2

.DEFAULT_GOAL := help
.PHONY: help environment run test lint format self-test bench lock clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

environment: ## make or mend .venv
	@python=$$(sh scripts/find_python.sh) && "$$python" -I scripts/system_check.py && "$$python" -I scripts/environment.py

run: environment ## open the window
	@if [ "$$(uname)" != Darwin ] && [ -z "$$DISPLAY$$WAYLAND_DISPLAY" ]; then \
		echo "There is no display here, so the program's self-test runs instead of the window."; \
		$(OFFSCREEN) $(BIN)/mlx-grpo --self-test; \
	else \
		$(BIN)/python -I scripts/system_check.py --display && $(BIN)/mlx-grpo $(ARGS); \
	fi

test: lint ## run every check, stopping at the first red one
	@$(OFFSCREEN) $(BIN)/pytest -n $(JOBS) --dist worksteal $(ARGS)

lint: environment ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: environment ## put the source into shape
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

self-test: environment ## open every page without a display; pictures in build/shots
	@$(OFFSCREEN) $(BIN)/mlx-grpo --self-test --shots build/shots

bench: environment ## run every script in benchmarks
	@for script in benchmarks/[!_]*.py; do \
		name=$${script##*/}; echo "$$script"; $(OFFSCREEN) $(BIN)/python -m "benchmarks.$${name%.py}" || exit 1; \
	done

# uv gets a place of its own, so that pins which no longer agree with pyproject.toml can be made again.
# torch names CUDA's packages for Linux; they have no place beside MLX.
LOCK := uv pip compile --universal --python-version 3.11 --group dev --no-annotate pyproject.toml
lock: ## pin every dependency in constraints.txt; ARGS=--upgrade takes the newest
	@python=$$(sh scripts/find_python.sh) && "$$python" -I -m venv build/lock
	@build/lock/bin/python -I -m pip install -qq --disable-pip-version-check uv
	@build/lock/bin/$(LOCK) $(ARGS) --quiet --output-file constraints.txt \
		--custom-compile-command "make lock    ($(LOCK), less CUDA's packages)"
	@grep -v -E '^(cuda|nvidia|triton)' constraints.txt > constraints.txt.new
	@mv constraints.txt.new constraints.txt

clean: ## remove what builds and checks left; .venv stays
	@rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	@find . -name .venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
