#!/usr/bin/env bash
# All checks of `make lint`; each is run, and the status is 1 if any has failed.
# usage: scripts/lint/run.sh
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit
export PATH=$PWD/.tools/lint/bin:$PATH
failed=()

check() {
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then
        echo "ok      $name"
    else
        echo "FAILED  $name"
        printf '%s\n' "$output" | sed 's/^/        /'
        failed+=("$name")
    fi
}

mapfile -t scripts < <(git ls-files -co --exclude-standard '*.sh' .ci/run)
mapfile -t dockerfiles < <(git ls-files -co --exclude-standard '*Dockerfile*')
nextflow_code=(main.nf nextflow.config conf modules subworkflows workflows)

check 'ruff check' .venv/bin/ruff check .
check 'ruff format' .venv/bin/ruff format --check .
check 'nextflow lint' nextflow lint "${nextflow_code[@]}"
check 'prose' python3 scripts/lint/prose.py
check 'spelling' .tools/lint/bin/codespell README.md CHANGELOG.md docs/*.md bin/sccicl nextflow_schema.json --ignore-words-list ake,te,fo,nd,ot,ser,hist,thre,ans,coo,anc --skip '*.pyc,*/name_patterns.py'
check 'shellcheck' shellcheck --severity=style "${scripts[@]}"
check 'hadolint' hadolint --config .hadolint.yml "${dockerfiles[@]}"
check 'modules: meta.yml' .tools/lint/bin/python scripts/lint/module_meta.py
check 'modules: environments' .venv/bin/python scripts/conda_environments.py
check 'modules: nf-core ModuleLint' .tools/lint/bin/python scripts/lint/nfcore_modules.py
check 'nf-test files' .tools/lint/bin/python scripts/lint/nf_tests.py
check 'ro-crate' .tools/lint/bin/python scripts/lint/ro_crate.py
check 'nf-core pipelines lint' .tools/lint/bin/python scripts/lint/nfcore.py
if [[ -x .tools/prettier/prettier ]]; then
    check 'prettier' .tools/prettier/prettier --check --log-level warn .
else
    echo 'left out prettier (npm is missing)'
fi

if ((${#failed[@]})); then
    echo "failed: ${failed[*]}" >&2
    exit 1
fi
