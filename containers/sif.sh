#!/usr/bin/env bash
# Images for Singularity and Apptainer of those that build.sh has made, into containers/images, where the profiles look for them.
# usage: containers/sif.sh [cpu|gpu ...]        by default all that are there; needs apptainer or singularity, and podman or docker
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' bin/sccicl/_version.py)
builder=$(command -v apptainer || command -v singularity) || {
    echo 'ERROR: neither apptainer nor singularity is installed here' >&2
    exit 1
}
if (($# == 0)); then
    set -- cpu gpu
fi
mkdir -p containers/images
for kind in "$@"; do
    tag=cicl-nextflow:$version
    [[ $kind == gpu ]] && tag+=-gpu
    for engine in podman docker; do
        if "$engine" image inspect "$tag" >/dev/null 2>&1; then
            # By the name that Nextflow gives a pulled image
            target=containers/images/${tag/:/-}.img
            archive=$(mktemp --suffix=.tar)
            trap 'rm -f "$archive"' EXIT
            "$engine" save --output "$archive" "$tag"
            "$builder" build --force "$target" "docker-archive://$archive"
            rm -f "$archive"
            echo "$target"
            continue 2
        fi
    done
    echo "$tag is not there: containers/build.sh $kind" >&2
done
