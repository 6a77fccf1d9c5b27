#!/usr/bin/env bash
# Install the linters that stand outside the engine's environment: .tools/lint (Python) and .tools/prettier (npm, where it is).
# usage: scripts/lint/setup.sh        idempotent: a stamp remembers what was installed
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
prettier_version=3.10.1

stamp="$(sha256sum scripts/lint/requirements.txt | cut -d ' ' -f 1) $PWD"
if [[ $(cat .tools/lint/cicl.stamp 2>/dev/null) != "$stamp" ]]; then
    echo 'Installing the linters into .tools/lint' >&2
    .venv/bin/python -m venv --clear .tools/lint
    # From wheels, as nothing is compiled, or downloaded from elsewhere, for a linter.
    .venv/bin/uv pip install --quiet --python .tools/lint/bin/python --require-hashes -r scripts/lint/requirements.txt
    echo "$stamp" >.tools/lint/cicl.stamp
fi

if [[ ! -d .tools/prettier/$prettier_version ]]; then
    if command -v npm >/dev/null && npm install --silent --no-fund --no-audit --prefix ".tools/prettier/$prettier_version.part" \
        "prettier@$prettier_version" >/dev/null 2>&1; then
        rm -rf ".tools/prettier/$prettier_version"
        mv ".tools/prettier/$prettier_version.part" ".tools/prettier/$prettier_version"
    else
        rm -rf ".tools/prettier/$prettier_version.part"
        echo 'npm is missing or did not succeed: prettier is left out' >&2
    fi
fi
ln -sfn "$prettier_version/node_modules/.bin/prettier" .tools/prettier/prettier 2>/dev/null || true
