#!/usr/bin/env bash
# Builds .venv from the lock file: uv first, then torch for this machine, then everything else by hash.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
torch=$(grep -m1 '^torch==' requirements/requirements.in)

"$python" - <<'CHECK' || exit 1
import sys
if sys.version_info < (3, 11):
    sys.exit(f"FedGenBench needs Python 3.11 or later, this is {sys.version.split()[0]}: "
             "name another one, e.g. make setup PYTHON=python3.12")
CHECK

uv=.boot/bin/uv
if ! [ -x "$uv" ]; then
  # --target needs neither root nor the venv module, and works where the system Python is managed.
  "$python" -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
    --upgrade --target .boot uv==0.13.8
fi
if ! [ -x .venv/bin/python ]; then
  "$uv" venv --quiet .venv --python "$("$python" -c 'import sys; print(sys.executable)')"
fi
export VIRTUAL_ENV=$PWD/.venv
export UV_SYSTEM_CERTS=true  # as pip does: a site's own certificates count

# CUDA build where a GPU answers, CPU build elsewhere: from a wheel folder that pip is configured
# with, if it holds one, else from PyTorch's own index.
links=${PIP_FIND_LINKS:-$("$python" -m pip config get global.find-links 2>/dev/null || true)}
if nvidia-smi -L >/dev/null 2>&1; then
  "$uv" pip install --quiet --torch-backend=auto "$torch"
elif [ -n "$links" ] && ls "$links"/torch-"${torch#torch==}"+cpu-*.whl >/dev/null 2>&1; then
  "$uv" pip install --quiet --find-links "$links" "$torch"
else
  "$uv" pip install --quiet --torch-backend=cpu "$torch"
fi
"$uv" pip install --quiet --no-deps --require-hashes -r requirements/lock.txt
"$uv" pip install --quiet --no-deps --no-build-isolation -e .
"$uv" pip check --quiet
touch .venv/.ready
