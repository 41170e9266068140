#!/usr/bin/env bash
# What later commits are compared with: the smoke scale and a sample of the embedded one, made by the commit
# that is checked out, in a clone of its own, so that no other commit's results lie among them.
set -euo pipefail
folder=${1:?name a folder that does not exist yet}
here=$PWD
if [ -e "$folder" ]; then
  echo "$folder exists: name another, or delete it." >&2
  exit 2
fi
if [ -n "$(git status --porcelain --untracked-files=no)" ]; then
  echo "Edits are not committed, and a clone would lack them: commit them first." >&2
  exit 2
fi
git clone --quiet . "$folder"
cd "$folder"
mkdir -p data
ln -s "$here/data/raw" data/raw
export PYTHONPATH=$PWD/src
sampled=$(python "$here/tools/sample_jobs.py")
for targets in smoke "$sampled"; do
  # shellcheck disable=SC2086  # targets are words
  python -m fedgenbench.commands.start $targets ${CORES:+--cores $CORES} --quiet rules reason host
done
