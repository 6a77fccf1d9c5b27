#!/usr/bin/env bash
# Within the build of an image: the packages of the lock into /opt/cicl, and nothing that only a compiler needs.
# usage: install.sh cpu|gpu, with scripts/uv.txt and requirements.txt beside it; TORCH_INDEX as in the Dockerfile
set -euo pipefail
kind=${1:?usage: install.sh cpu|gpu}
here=$(dirname "${BASH_SOURCE[0]}")
lock=$here/requirements.txt
index=${TORCH_INDEX:-}

if [[ -s /run/secrets/ca ]]; then
    export SSL_CERT_FILE=/run/secrets/ca PIP_CERT=/run/secrets/ca
fi
python3 -m venv /opt/cicl
export VIRTUAL_ENV=/opt/cicl PIP_DISABLE_PIP_VERSION_CHECK=1
/opt/cicl/bin/python -m pip install --quiet --no-cache-dir --require-hashes -r "$here/uv.txt"

uv() { /opt/cicl/bin/uv pip "$@"; }
if [[ $kind == cpu && -n $index ]]; then
    # A package's entry is its line and the indented lines of hashes after it. torch's CPU wheel has other hashes than the lock's.
    awk '/^[^ #]/ { skip = /^(torch|triton|nvidia-|cuda-)/ } !skip' "$lock" >"$here/rest.txt"
    version=$(sed -n 's/^torch==\([0-9.]*\).*/\1/p' "$lock" | head -n 1)
    uv install --no-cache --no-deps --require-hashes -r "$here/rest.txt"
    uv install --no-cache --no-deps --index-url "$index" "torch==$version"
else
    uv install --no-cache --no-deps --require-hashes -r "$lock"
fi
uv check

# pip and uv have done their work; headers, static libraries and tests are for building on these packages, not for running them.
rm -rf /opt/cicl/bin/uv /opt/cicl/bin/uvx /opt/cicl/lib/python3*/site-packages/{pip,uv}{,-*.dist-info}
cd /opt/cicl/lib/python3*/site-packages
rm -rf torch/include torch/bin/test_* nvidia/*/include
find . -name '*.a' -delete
find . -type d \( -name tests -o -name test \) -path '*/*/*' -not -path './torch/*' -not -path './numpy/*' -prune -exec rm -rf {} +
# In the image nobody can write the bytecode later.
/opt/cicl/bin/python -m compileall -q -j 0 . || true
