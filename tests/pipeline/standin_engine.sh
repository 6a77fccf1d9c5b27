#!/usr/bin/env bash
# A stand-in for docker, podman, singularity, apptainer, ch-run, ch-image, conda and sbatch, under the name that it is called by: writes how it
# is called to $STANDIN_LOG, and knows the images that $STANDIN_IMAGES names (patterns with blanks between). With $STANDIN_RUN the
# command of the task runs, on this machine. The settings are in the file `standin.env` beside it, as Singularity gets no environment.
set -u
engine=$(basename "$0")
# shellcheck disable=SC1091
source "$(dirname "$0")/standin.env"
printf '%s' "$engine" >>"${STANDIN_LOG:-/dev/null}"
printf ' %q' "$@" >>"${STANDIN_LOG:-/dev/null}"
echo >>"${STANDIN_LOG:-/dev/null}"

known() {
    local pattern
    for pattern in ${STANDIN_IMAGES:-}; do
        [[ "$*" == *$pattern* ]] && return 0
    done
    return 1
}
denied() {
    echo "$engine: $* is denied: the repository does not exist or may require a login" >&2
    exit 125
}
case "$engine ${1:-}" in
    *' --version' | *' version') echo "$engine version 4.0.0" && exit 0 ;;
    'singularity pull' | 'apptainer pull')
        known "$*" || denied "$*"
        for word in "$@"; do
            [[ $word == *.img* || $word == *.sif* ]] && : >"$word"
        done
        exit 0
        ;;
    'docker image' | 'podman image' | 'docker run' | 'podman run') known "$*" || denied "$*" ;;
    'conda env' | 'conda create')
        while (($#)); do
            [[ $1 == --prefix || $1 == -p ]] && mkdir -p "$2/bin" && touch "$2/bin/activate"
            shift
        done
        exit 0
        ;;
    'conda info') echo "${CONDA_STANDIN:-/nowhere}" && exit 0 ;;
    sbatch*)
        [[ -n ${STANDIN_REFUSES:-} ]] && echo 'sbatch: error: Batch job submission failed: Requested time limit is invalid' >&2 && exit 1
        ;;
esac
[[ -n ${STANDIN_RUN:-} ]] || exit 0
case "${1:-}" in
    exec | run) exec "${@: -3}" ;;
esac
