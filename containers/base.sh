#!/usr/bin/env bash
# A Debian base image made of packages, for machines that reach a Debian mirror but no image registry.
# usage: containers/base.sh ENGINE IMAGE        (ENGINE podman or docker; needs debootstrap, and root)
set -euo pipefail
engine=${1:?usage: base.sh ENGINE IMAGE}
image=${2:?usage: base.sh ENGINE IMAGE}
if "$engine" image inspect "$image" >/dev/null 2>&1; then
    exit 0
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
debootstrap --variant=minbase --include=ca-certificates,procps bookworm "$folder/root" >&2
rm -rf "$folder"/root/var/cache/apt/archives/*.deb "$folder"/root/var/lib/apt/lists/*
tar --numeric-owner -C "$folder/root" -c . | "$engine" import - "$image" >&2
