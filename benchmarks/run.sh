#!/usr/bin/env bash
# Makes the competitors' environments where they are missing, then runs everything.
# Usage: benchmarks/run.sh [arguments of bench.py]
set -euo pipefail
cd "$(dirname "$0")/.."
export PYTHONDONTWRITEBYTECODE=
python=.venv/bin/python
uv=.boot/bin/uv
if ! [ -x "$python" ] || ! [ -x "$uv" ]; then
  echo "benchmarks/run.sh: make the project's own environment first (make setup)" >&2
  exit 1
fi

for name in pfl flower; do
  venv=benchmarks/.venvs/$name
  wanted=benchmarks/requirements-$name.txt
  if [ -f "$venv/.ready" ] && cmp -s "$wanted" "$venv/.ready"; then continue; fi
  torch=$(grep '^torch==' "$wanted")
  "$uv" venv --quiet --clear "$venv" --python "$("$python" -c 'import sys; print(sys.executable)')"
  links=${PIP_FIND_LINKS:-$("$python" -m pip config get global.find-links 2>/dev/null ||
    python3 -m pip config get global.find-links 2>/dev/null || true)}
  if [ -n "$links" ] && ls "$links"/torch-"${torch#torch==}"+cpu-*.whl >/dev/null 2>&1; then
    VIRTUAL_ENV=$PWD/$venv "$uv" pip install --quiet --find-links "$links" "$torch"
  else
    VIRTUAL_ENV=$PWD/$venv "$uv" pip install --quiet --torch-backend=cpu "$torch"
  fi
  grep -v '^torch==' "$wanted" | VIRTUAL_ENV=$PWD/$venv "$uv" pip install --quiet --no-deps -r -
  VIRTUAL_ENV=$PWD/$venv "$uv" pip check --quiet
  cp "$wanted" "$venv/.ready"
done

exec "$python" benchmarks/bench.py "$@"
