#!/usr/bin/env bash
# What later commits are compared with: the smoke scale and a sample of the embedded one, made by the commit
# that is checked out, in clones of their own, so that no other commit's results lie among them.
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
# A folder for each: a job of both has two digests, and no path says which is whose.
sampled=$(python tools/sample_jobs.py)
for part in smoke embedded; do
  git clone --quiet . "$folder/$part"
  mkdir -p "$folder/$part/data"
  ln -s "$here/data/raw" "$folder/$part/data/raw"
  targets=$sampled
  if [ $part = smoke ]; then targets=smoke; fi
  (
    cd "$folder/$part"
    export PYTHONPATH=$PWD/src
    # shellcheck disable=SC2086  # targets are words
    python -m fedgenbench.commands.start $targets ${CORES:+--cores $CORES} --quiet rules reason host
  )
done
