#!/usr/bin/env bash
# Builds .venv from the lock file: uv first, then torch for this machine, then everything else by hash.
# Does nothing where .venv is as it should be.
set -euo pipefail
cd "$(dirname "$0")/.."
here=$(pwd -P)
python=${PYTHON:-python3}
# Not the Python of the environment that this builds, which make has first on its path.
PATH=${PATH//"$PWD/.venv/bin:"/}
torch=$(grep -m1 '^torch==' requirements/requirements.in)

stop() { echo "$*" >&2; exit 1; }

case $here in *:*) stop "The path $here has a colon, at which PATH parts: move this folder." ;; esac
cache=${XDG_CACHE_HOME:-${HOME:-}/.cache}
{ mkdir -p "$cache" && [ -w "$cache" ]; } 2>/dev/null || stop "The folder for caches, $cache, cannot be \
written: set XDG_CACHE_HOME (or HOME) to one that can, e.g. export XDG_CACHE_HOME='$here/.cache'"
probe=$(mktemp 2>/dev/null) && head -c 1000000 /dev/zero 2>/dev/null >"$probe" || {
  rm -f "${probe:-}"
  stop "The temporary folder ${TMPDIR:-/tmp} is full or cannot be written: free some space there, or \
set TMPDIR to another folder"
}
rm -f "$probe"

"$python" - <<'CHECK' || exit 1
import sys
if sys.version_info < (3, 11):
    sys.exit(f"FedGenBench needs Python 3.11 or later, this is {sys.version.split()[0]}: "
             "name another one, e.g. make setup PYTHON=python3.12")
CHECK

# One set-up at a time: the lock is the shell's, and goes with it.
mkdir -p .boot
exec 9>.boot/lock
"$python" - <<'LOCK'
import fcntl
try:
    fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("Another set-up works in this folder: waiting for it.", flush=True)
    fcntl.flock(9, fcntl.LOCK_EX)
LOCK

# Scripts in .venv name its path, so it holds for one place only.
wanted=$(echo "$here"; cat requirements/lock.txt requirements/requirements.in pyproject.toml "$0" | cksum)
had=$(cat .venv/.ready 2>/dev/null || echo unfinished)
if [ "$had" = "$wanted" ] && [ -x .venv/bin/python ]; then exit 0; fi
place=$(head -n 1 <<<"$had")
if [ "$place" = unfinished ]; then
  rm -rf .venv
elif [ -n "$place" ] && [ "$place" != "$here" ]; then
  echo "This folder was $place before: .venv is built again."
  rm -rf .venv
fi

uv=.boot/bin/uv
if ! [ -x "$uv" ]; then
  # --target needs neither root nor the venv module, and works where the system Python is managed.
  "$python" -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
    --upgrade --target .boot uv==0.13.8
fi
if ! [ -x .venv/bin/python ]; then
  "$uv" venv --quiet --clear .venv --python "$("$python" -c 'import sys; print(sys.executable)')"
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
echo "$wanted" >.venv/.ready
