#!/usr/bin/env bash
# Set up the project: the locked Python environment in .venv, and Nextflow in .tools unless one is on the PATH.
# usage: scripts/setup.sh          (PYTHON=python3.12 scripts/setup.sh picks another Python)
# Idempotent: stamps remember what was installed, and a second run finds nothing to do. Safe to start twice at once.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
python=${PYTHON:-python3}
nextflow_minimum=25.04
export NXF_HOME=$root/.tools/nextflow-home

say() { printf '%s\n' "$*" >&2; }

python_is_new_enough() {
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

if ! python_is_new_enough; then
    say "Python 3.11 or newer is missing ('$python' is not it): install it (apt-get install python3 python3-venv, or" \
        "conda install 'python>=3.11'), or name one: make PYTHON=python3.12 ..."
    python_missing=1
elif [[ -z ${CICL_SETUP_LOCKED:-} ]]; then
    # One set-up at a time: the lock is on an open file, so that it ends with this process, however that ends.
    mkdir -p .tools
    CICL_SETUP_LOCKED=1 exec "$python" -c '
import fcntl, os, sys
handle = os.open(".tools/setup.lock", os.O_RDWR | os.O_CREAT, 0o644)
fcntl.flock(handle, fcntl.LOCK_EX)
os.set_inheritable(handle, True)
os.execvp(sys.argv[1], sys.argv[1:])' bash "$root/scripts/setup.sh"
fi

java_is_new_enough() {
    local java version
    java=${JAVA_CMD:-${JAVA_HOME:+$JAVA_HOME/bin/java}}
    version=$("${java:-java}" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
    [[ -n $version ]] && ((version >= 17))
}

# The nextflow of the user, not the one that an earlier set-up put into .venv/bin
nextflow_on_path() {
    type -aP nextflow 2>/dev/null | grep -v "^$root/" | head -n 1 || true
}

nextflow_is_new_enough() {
    local version
    # The user's launcher keeps its downloaded parts in its home: read them from there rather than download them again.
    if [[ -d $HOME/.nextflow/framework ]]; then
        mkdir -p "$NXF_HOME"
        ln -sfn "$HOME/.nextflow/framework" "$NXF_HOME/framework"
    fi
    version=$("$1" -version 2>/dev/null | sed -n 's/.*version \([0-9]*\.[0-9]*\).*/\1/p' | head -n 1)
    [[ -n $version ]] && [[ $(printf '%s\n' "$nextflow_minimum" "$version" | sort -V | head -n 1) == "$nextflow_minimum" ]]
}

# --- what must be there -----------------------------------------------------------------------------------------------
missing=${python_missing:-0}
if ! java_is_new_enough; then
    say "Java 17 or newer is missing: install it (apt-get install openjdk-17-jre-headless, or conda install 'openjdk>=17')"
    missing=1
fi

# The choice of an earlier set-up holds as long as the PATH shows the same.
user_nextflow=$(nextflow_on_path)
own_version=$(sed -n 's/^version=//p' scripts/install-nextflow.sh)
nextflow_stamp="own version $own_version ($(cksum <scripts/install-nextflow.sh)), on the PATH: ${user_nextflow:-none}"
nextflow_choice=
if [[ $(sed -n 1p .tools/nextflow.stamp 2>/dev/null) == "$nextflow_stamp" ]]; then
    nextflow_choice=$(sed -n 2p .tools/nextflow.stamp)
elif ((missing == 0)) && [[ -n $user_nextflow ]] && nextflow_is_new_enough "$user_nextflow"; then
    nextflow_choice=user
elif ! command -v mvn >/dev/null; then
    say "Maven, which installs Nextflow, is missing: install it (apt-get install maven, or conda install maven), or put" \
        "a nextflow of version $nextflow_minimum or newer on the PATH"
    missing=1
fi
((missing == 0)) || exit 1

# --- Python -----------------------------------------------------------------------------------------------------------
# The environment's scripts hold its path, so a moved project needs a new one.
python_stamp=$("$python" -c '
import hashlib, sys
lock = b"".join(open(name, "rb").read() for name in ("requirements-dev.txt", "scripts/uv.txt"))
print(hashlib.sha256(lock).hexdigest(), "%d.%d" % sys.version_info[:2], sys.argv[1])' "$root")

if [[ $(cat .venv/cicl.stamp 2>/dev/null) != "$python_stamp" ]]; then
    moved=$(grep -sq "$root/.venv" .venv/bin/activate || echo --clear)
    if [[ -n $moved ]] || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
        say "Making the Python environment in .venv"
        "$python" -m venv ${moved:+--clear} .venv || {
            say "python3-venv is missing: install it (apt-get install python3-venv), then start again"
            exit 1
        }
    fi
    say "Installing the locked Python packages into .venv (minutes the first time)"
    export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
    # uv installs in a fraction of pip's time; where it cannot run, pip does the same from the same lock. Compiled once
    # here (by pip always), packages are not compiled by every start where PYTHONDONTWRITEBYTECODE is set.
    if ! { .venv/bin/python -m pip install --quiet --require-hashes -r scripts/uv.txt &&
        .venv/bin/uv pip install --quiet --compile-bytecode --python .venv/bin/python --require-hashes \
            -r requirements-dev.txt; }; then
        say "uv did not succeed: installing with pip"
        .venv/bin/python -m pip install --quiet --require-hashes -r requirements-dev.txt
    fi
    echo "$python_stamp" >.venv/cicl.stamp
fi

# --- Nextflow ---------------------------------------------------------------------------------------------------------
if [[ -z $nextflow_choice ]]; then
    scripts/install-nextflow.sh .tools
    nextflow_choice=own
fi
# Nextflow stands beside the engine's Python, so that `source .venv/bin/activate` gives both.
if [[ $nextflow_choice == own ]]; then
    ln -sfn ../../.tools/bin/nextflow .venv/bin/nextflow
else
    rm -f .venv/bin/nextflow
fi
printf '%s\n' "$nextflow_stamp" "$nextflow_choice" >.tools/nextflow.stamp
