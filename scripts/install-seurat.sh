#!/usr/bin/env bash
# Install Seurat (Debian's package, as root) for the test that runs it, where it is missing and can be had.
# usage: scripts/install-seurat.sh
# Never fails: the test is skipped where Seurat is missing, and says so.
set -euo pipefail

if Rscript -e 'packageVersion("Seurat")' >/dev/null 2>&1; then
    exit 0
fi
if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
    echo "Seurat is missing for its test, which is skipped: install it, as root with apt-get install r-cran-seurat, or with" \
        "conda" >&2
    exit 0
fi
echo "Installing Seurat for its test" >&2
export DEBIAN_FRONTEND=noninteractive
{ apt-get update -qq && apt-get install -y -qq --no-install-recommends r-base-core r-cran-seurat; } >/dev/null ||
    echo "It could not be installed, so its test is skipped" >&2
