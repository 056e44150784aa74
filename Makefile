# run: rebuild the models.   serve: model server and web page.   bench, bench-gpu: the benchmarks.
# chaos: kills, faults, hostile input and overload.   compose-test: docker-compose.yml on a Docker engine.
# test: every check.   check: those of a minute.   coverage: which lines and branches the tests run.
# security: bandit on the code, and known vulnerabilities of the packages.   sbom: the bills of materials of the images.
# docs: build the pages of docs/ in build/docs, with the report of RUN as an example.
# lock: pin the dependencies again.   translations: update the message catalogs.   protos: compile the .proto files.
SHELL := /bin/bash
IMAGES ?=
RUN ?= $(if $(IMAGES),runs/thesis,runs/demo)
ARGS ?=
VENV_PYTHON := .venv/bin/python
PYTEST := -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder
# the first Python from 3.11 to 3.13 on the path
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	2>/dev/null && echo $$p && break; done)

# otherwise every process compiles TensorFlow and Beam again, ten seconds each time
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run serve test check coverage bench bench-gpu chaos compose-test security sbom docs lock translations protos
.DELETE_ON_ERROR:

run: export PILAH_STARTED_BY := make
run: .venv/ready
	$(VENV_PYTHON) -m pipeline run --run-dir "$(RUN)" $(if $(IMAGES),--images "$(IMAGES)") $(ARGS)

serve: .venv/ready
	$(VENV_PYTHON) -m web --model_base_path "$(RUN)/served/pilah" $(ARGS)

check: SELECTED := --quick
test check: .venv/ready
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	$(VENV_PYTHON) $(PYTEST) $(SELECTED) $(ARGS)

coverage: .venv/ready
	.venv/bin/coverage erase
	.venv/bin/coverage run $(PYTEST) $(ARGS); failed=$$?; \
		.venv/bin/coverage combine --quiet && .venv/bin/coverage report && exit $$failed

bench: .venv/ready
	$(VENV_PYTHON) -m benchmarks --run-dir "$(RUN)" $(ARGS)

bench-gpu: .venv/ready
	$(VENV_PYTHON) -m benchmarks.gpu $(ARGS)

chaos: .venv/ready
	$(VENV_PYTHON) -m chaos $(ARGS)

compose-test: .venv/ready
	$(VENV_PYTHON) -m pytest tests/compose --compose --exitfirst --verbose $(ARGS)

security: .venv/ready
	.venv/bin/bandit --quiet --configfile pyproject.toml --recursive .
	$(VENV_PYTHON) -m requirements.vulnerabilities

sbom: .venv/ready
	$(VENV_PYTHON) -m requirements.sbom

docs: .venv/ready
	.venv/bin/sphinx-build --fresh-env --quiet --fail-on-warning --keep-going docs build/docs
	@rm -rf build/docs/example-report
	@if test -f "$(RUN)/report/index.html"; then cp -r "$(RUN)/report" build/docs/example-report; \
		else echo "There is no $(RUN)/report, so that the pages have no example report. RUN=... names a finished run." >&2; fi

# the environment: updated when the lock changes, built again when its Python is gone
.venv/ready: requirements/dev.txt requirements/uv.txt $(VENV_PYTHON)
	@test -n "$(PYTHON)" || { echo "Pilah needs Python 3.11 to 3.13 with venv on the path. Install it, or name another one: make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) requirements/install.py

$(VENV_PYTHON):

# dev first: the images get the versions that the tests ran with
lock:
	PATH="$$PATH:.venv/bin"; for group in dev pipeline web uv; do uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-header $(ARGS) --group pyproject.toml:$$group \
		$$(test $$group = dev || echo -c requirements/dev.txt) -o requirements/$$group.txt || exit 1; done

translations: .venv/ready
	for folder in web pipeline/report; do \
		.venv/bin/pybabel -q extract -F pyproject.toml --sort-by-file --add-location=file --project Pilah \
			-o .venv/messages.pot $$folder && \
		.venv/bin/pybabel -q update -N -w 120 --ignore-obsolete --ignore-pot-creation-date -i .venv/messages.pot \
			-d $$folder/translations && \
		.venv/bin/pybabel -q compile -d $$folder/translations || exit 1; done

protos: .venv/ready
	$(VENV_PYTHON) -m grpc_tools.protoc -I. --python_out=. --pyi_out=. serving/protos/*.proto
