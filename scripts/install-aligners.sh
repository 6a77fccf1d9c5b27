#!/usr/bin/env bash
# Install what the tests align reads with, where it is missing and can be had: STAR, and with `all` also salmon, gffread (all
# three Debian's packages, as root) and alevin-fry (built with cargo into .tools, which takes minutes).
# usage: scripts/install-aligners.sh [all]
# Never fails: tests whose tools are missing are skipped, and say so.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
alevin_fry_version=0.19.0

missing=()
for tool in STAR:rna-star ${1:+salmon:salmon gffread:gffread}; do
    command -v "${tool%%:*}" >/dev/null || missing+=("${tool##*:}")
done
if ((${#missing[@]})); then
    if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
        echo "Missing for the tests that align reads, which are skipped: ${missing[*]} (install them, as root with" \
            "apt-get install ${missing[*]}, or from Bioconda)" >&2
    else
        echo "Installing for the tests that align reads: ${missing[*]}" >&2
        export DEBIAN_FRONTEND=noninteractive
        { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >/dev/null ||
            echo "They could not be installed, so those tests are skipped" >&2
    fi
fi

if [[ ${1:-} == all ]] && ! command -v alevin-fry >/dev/null; then
    if command -v cargo >/dev/null; then
        echo "Building alevin-fry $alevin_fry_version into .tools (minutes)" >&2
        if cargo install --quiet --locked --root .tools --version "$alevin_fry_version" alevin-fry; then
            ln -sfn ../../.tools/bin/alevin-fry .venv/bin/alevin-fry
        else
            echo "alevin-fry could not be built, so its test is skipped" >&2
        fi
    else
        echo "alevin-fry is missing, so its test is skipped: install it with cargo or from Bioconda" >&2
    fi
fi
