#!/usr/bin/env bash
# Images for Singularity and Apptainer of those that build.sh has made, into containers/images or the folder that is given.
# usage: containers/sif.sh [cpu|gpu ...]        by default all that are there; needs apptainer or singularity, and podman or docker
#   IMAGES   folder of the images, by default containers/images; the pipeline looks for them in NXF_SINGULARITY_LIBRARYDIR or, with
#            Apptainer, in NXF_APPTAINER_LIBRARYDIR
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
builder=$(command -v apptainer || command -v singularity) || {
    echo 'ERROR: neither apptainer nor singularity is installed here' >&2
    exit 1
}
images=${IMAGES:-$PWD/containers/images}
if (($# == 0)); then
    set -- cpu gpu
fi
mkdir -p "$images"
made=0
for kind in "$@"; do
    tag=$(containers/name.sh "$kind")
    for engine in podman docker; do
        if "$engine" image inspect "$tag" >/dev/null 2>&1; then
            # By the name that Nextflow looks for
            target=$images/$(tr '/:' '--' <<<"$tag").img
            archive=$(mktemp --suffix=.tar)
            trap 'rm -f "$archive"' EXIT
            "$engine" save --output "$archive" "$tag"
            "$builder" build --force "$target" "docker-archive://$archive"
            rm -f "$archive"
            echo "$target"
            made=1
            continue 2
        fi
    done
    echo "$tag is not there: containers/build.sh $kind" >&2
done
if ((made)); then
    echo "Before nextflow run: export NXF_SINGULARITY_LIBRARYDIR='$images' NXF_APPTAINER_LIBRARYDIR='$images'"
fi
