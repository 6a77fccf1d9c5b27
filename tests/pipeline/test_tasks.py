"""How tasks run beside each other: what one that fails leaves of the others, and what shares a GPU."""

import json

KILLED = """process KILLED {
    script:
    \"\"\"
    touch ${projectDir}/attempt.${task.attempt}
    exit 137
    \"\"\"
}
process OTHER {
    script:
    \"\"\"
    for _ in \\$(seq 300); do [ ! -e ${projectDir}/attempt.3 ] || break; sleep 0.2; done
    sleep 5
    touch ${projectDir}/finished
    \"\"\"
}
workflow {
    KILLED()
    OTHER()
}
"""


def test_a_sample_without_enough_memory_leaves_the_others_running(nextflow, root, tmp_path):
    (tmp_path / "main.nf").write_text(KILLED)
    (tmp_path / "nextflow.config").write_text(f"executor.cpus = 4\nincludeConfig '{root}/conf/base.config'\n")
    run = nextflow("run", "main.nf", folder=tmp_path)
    assert run.status != 0
    assert sorted(path.name for path in tmp_path.glob("attempt.*")) == ["attempt.1", "attempt.2", "attempt.3"]
    assert (tmp_path / "finished").exists(), run.text


# Small samples wait for each other; the GPU is one task's, which a folder tells that none but one can make.
GPU = """process CICL {
    label 'process_gpu'
    ext n_cells: { n_cells }

    input:
    val n_cells

    script:
    if (task.accelerator) {
        error("a sample of ${n_cells} cells has a GPU")
    }
    \"\"\"
    touch ${projectDir}/small.${n_cells}
    for _ in \\$(seq 150); do [ \\$(ls ${projectDir}/small.* | wc -l) -lt 2 ] || exit 0; sleep 0.2; done
    exit 1
    \"\"\"
}
process CICL_FIT {
    label 'process_gpu'

    input:
    val sample

    script:
    if (!task.accelerator) {
        error("there is no GPU for the training of ${sample}")
    }
    \"\"\"
    mkdir ${projectDir}/gpu
    sleep 2
    rmdir ${projectDir}/gpu
    \"\"\"
}
workflow {
    CICL(channel.of(60, 70))
    CICL_FIT(channel.of('a', 'b'))
}
"""


def test_small_samples_do_not_wait_for_each_other_nor_for_the_gpu(nextflow, root, tmp_path):
    """With the limit as text, as Nextflow 26 hands over what is typed."""
    (tmp_path / "main.nf").write_text(GPU)
    settings = ["params.gpu_type = null", "executor.cpus = 4", f"includeConfig '{root}/conf/gpu.config'"]
    (tmp_path / "nextflow.config").write_text("\n".join([*settings, ""]))
    (tmp_path / "limit.json").write_text(
        json.dumps({"gpu_min_cells": "80", "cicl_image": None, "cicl_image_gpu": None})
    )
    run = nextflow("run", "main.nf", "-params-file", "limit.json", folder=tmp_path)
    assert run.status == 0, run.text
    assert len(run.tasks) == 4
