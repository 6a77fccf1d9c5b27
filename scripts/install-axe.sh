#!/usr/bin/env bash
# Install axe-core into .tools/axe, for the browser tests of accessibility; without npm these are left out.
# usage: scripts/install-axe.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=4.14.1
target=.tools/axe/node_modules/axe-core
if [[ -f $target/axe.min.js ]] && grep -q "\"version\": \"$version\"" "$target/package.json"; then
    exit 0
fi
if ! command -v npm >/dev/null || ! npm install --silent --no-fund --no-audit --prefix .tools/axe "axe-core@$version" >/dev/null 2>&1; then
    echo 'npm is missing or did not succeed: the tests by axe-core are left out' >&2
fi
