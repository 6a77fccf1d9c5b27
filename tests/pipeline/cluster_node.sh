#!/usr/bin/env bash
# A node as clusters have them, for one command: no root, no network, a home that cannot be written, /tmp full, and a folder whose path
# has 255 characters and blanks. As root, in namespaces of its own, so that nothing outside changes.
# usage: unshare --mount --net cluster_node.sh FOLDER COMMAND...      FOLDER is what stands at the long path
set -euo pipefail
folder=$1
shift
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /mnt
place=/mnt
while ((${#place} < 215)); do
    place+='/a folder with blanks'
done
place+=/$(printf 'x%.0s' $(seq $((254 - ${#place}))))
mkdir -p "$place" /mnt/home
mount --bind "$folder" "$place"
mount -t tmpfs -o size=64k,mode=1777 tmpfs /tmp
mount -t tmpfs -o size=4k,ro tmpfs /mnt/home
cat /dev/zero >/tmp/full 2>/dev/null || true

cd "$place"
mkdir -p temporary
export HOME=/mnt/home NXF_TEMP=$place/temporary
unset TMPDIR
# Capabilities are of the new user namespace, where another user than root has none.
# shellcheck disable=SC2016
exec unshare --user --map-user=1000 --map-group=1000 bash -c '
    echo "node: user $(id -u), path ${#PWD}, free in /tmp $(df --output=avail /tmp | tail -n 1), network: $(tail -n +3 /proc/net/dev | grep -cv " lo:")"
    if touch "$HOME/x" 2>/dev/null; then echo "the home can be written"; fi
    exec "$@"' bash "$@"
