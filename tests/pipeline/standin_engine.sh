#!/usr/bin/env bash
# A stand-in for docker, podman, singularity, apptainer, ch-run, ch-image, conda and sbatch, under the name that it is called by: writes
# how it is called to $STANDIN_LOG, and knows the images that $STANDIN_IMAGES names (patterns, with blanks between). With $STANDIN_RUN
# the command of the task runs, on this machine. The settings are in the file `standin.env` beside it, as Singularity gets no
# environment.
set -u
engine=$(basename "$0")
here=$(dirname "$0")
# shellcheck disable=SC1091
source "$here/standin.env"
{
    printf '%s' "$engine"
    printf ' %q' "$@"
    echo
} >>"$STANDIN_LOG"

known() {
    local pattern
    for pattern in ${STANDIN_IMAGES:-}; do
        [[ "$*" == *$pattern* ]] && return 0
    done
    echo "$engine: $* is denied: the repository does not exist or may require a login" >&2
    exit 125
}
case "$engine ${1:-}" in
    *' --version' | *' version') echo "$engine version 4.0.0" && exit 0 ;;
    'singularity pull' | 'apptainer pull')
        known "$*"
        for word in "$@"; do
            [[ $word == *.img* || $word == *.sif* ]] && : >"$word"
        done
        exit 0
        ;;
    'docker image' | 'podman image') known "$*" && exit 0 ;;
    'docker run' | 'podman run') known "$*" ;;
    'ch-image pull')
        known "$*"
        exit 0
        ;;
    'conda info')
        # A line for each key, as conda prints it: Nextflow reads it with awk, which takes no blank in a path.
        prefix=/tmp/standin-conda
        mkdir -p "$prefix/bin" && touch "$prefix/bin/activate"
        printf '{\n  "conda_prefix": "%s"\n}\n' "$prefix"
        exit 0
        ;;
    'sbatch '*)
        echo 'sbatch: error: Batch job submission failed: Requested time limit is invalid' >&2
        exit 1
        ;;
esac
[[ -n ${STANDIN_RUN:-} ]] || exit 0
case "$engine ${1:-}" in
    *' exec' | *' run' | 'ch-run '*) exec "${@: -3}" ;;
esac
