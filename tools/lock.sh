#!/usr/bin/env bash
# Resolves requirements.in with the CPU build of torch in sight, so that no CUDA package enters the
# lock; leaves torch itself and every address out. cluster.in and site.in keep to its versions.
set -euo pipefail
cd "$(dirname "$0")/.."
links=${PIP_FIND_LINKS:-$(python3 -m pip config get global.find-links 2>/dev/null || true)}
if [ -n "$links" ]; then source_of_torch=(--find-links "$links"); else source_of_torch=(--torch-backend cpu); fi
written=(--generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header --python-version 3.11)
.boot/bin/uv pip compile requirements/requirements.in "${source_of_torch[@]}" \
  --no-emit-package torch "${written[@]}" -o requirements/lock.txt
for group in cluster site; do
  .boot/bin/uv pip compile "requirements/$group.in" -c requirements/lock.txt "${written[@]}" -o "requirements/$group.txt"
done
