#!/usr/bin/env bash
# Build and tag an image, by the name of containers/name.sh, under which the pipeline looks for it.
# usage: containers/build.sh cpu|gpu
#   ENGINE       podman or docker; by default the first that works
#   BASE         base image; where it cannot be pulled one is made with debootstrap, if that is there
#   TORCH_INDEX  package index with CPU wheels of torch (cpu)
#   CA_BUNDLE    certificates of a network that has its own; by default those that PIP_CERT or SSL_CERT_FILE names
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
kind=${1:-}
if [[ $kind != cpu && $kind != gpu ]]; then
    echo 'usage: containers/build.sh cpu|gpu' >&2
    exit 2
fi
version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' bin/sccicl/_version.py)
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)

if [[ $(id -u) == 0 && ! -d /run/systemd/system ]]; then
    export CONTAINERS_CONF=${CONTAINERS_CONF:-$PWD/containers/containers.conf}
fi

engine=${ENGINE:-}
if [[ -z $engine ]]; then
    for candidate in podman docker; do
        if "$candidate" info >/dev/null 2>&1; then
            engine=$candidate
            break
        fi
    done
fi
if [[ -z $engine ]]; then
    echo 'ERROR: neither podman nor docker works here: install one, or start the Docker daemon' >&2
    exit 1
fi

base=${BASE:-debian:bookworm-slim}
if ! "$engine" image inspect "$base" >/dev/null 2>&1 && ! "$engine" pull --quiet "$base" >/dev/null 2>&1; then
    if ! command -v debootstrap >/dev/null; then
        echo "ERROR: the base image $base cannot be pulled: name another with BASE=, or install debootstrap" >&2
        exit 1
    fi
    echo "The base image $base cannot be pulled: making one with debootstrap" >&2
    base=localhost/cicl-base:bookworm
    containers/base.sh "$engine" "$base"
fi

case $kind in
    cpu) file=containers/Dockerfile ;;
    gpu) file=containers/Dockerfile.gpu ;;
esac
tag=$(containers/name.sh "$kind")
options=(--build-arg "BASE=$base" --build-arg "VERSION=$version" --build-arg "REVISION=$revision")
if [[ $kind == cpu && -n ${TORCH_INDEX:-} ]]; then
    options+=(--build-arg "TORCH_INDEX=$TORCH_INDEX")
fi
ca=${CA_BUNDLE:-${PIP_CERT:-${SSL_CERT_FILE:-}}}
if [[ -n $ca ]]; then
    options+=(--secret "id=ca,src=$ca")
fi
if [[ $engine == podman ]]; then
    options+=(--layers --format docker)
fi
"$engine" build "${options[@]}" --file "$file" --tag "$tag" .
"$engine" image inspect --format "$tag: {{.Size}} bytes" "$tag"
