#!/usr/bin/env bash
# Name of the image of this checkout, for the scripts that build, convert and publish it. conf/containers.config, conf/gpu.config and
# the modules bear the same name, which a test compares.
# usage: containers/name.sh cpu|gpu
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' bin/sccicl/_version.py)
case ${1:-} in
    cpu) echo "cicl.localhost/cicl-nextflow:$version" ;;
    gpu) echo "cicl.localhost/cicl-nextflow:$version-gpu" ;;
    *)
        echo 'usage: containers/name.sh cpu|gpu' >&2
        exit 2
        ;;
esac
