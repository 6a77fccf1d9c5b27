#!/usr/bin/env bash
# Install STAR, which the tests align reads with, where it is missing and can be had: Debian's packages, as root.
# usage: scripts/install-aligners.sh
# Never fails: without STAR those tests are skipped, and say so.
set -euo pipefail

if command -v STAR >/dev/null; then
    exit 0
fi
if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
    echo "STAR is missing, so the tests that align reads are skipped: install it (apt-get install rna-star, or" \
        "conda install -c bioconda star)" >&2
    exit 0
fi
echo "Installing STAR (Debian's rna-star) for the tests that align reads" >&2
export DEBIAN_FRONTEND=noninteractive
{ apt-get update -qq && apt-get install -y -qq --no-install-recommends rna-star; } >/dev/null ||
    echo "STAR could not be installed, so the tests that align reads are skipped" >&2
