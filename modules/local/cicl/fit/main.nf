include { megabytes ; quoted } from '../../functions'

process CICL_FIT {
    tag "${meta.id}"
    label 'process_medium'
    label 'process_gpu'

    conda "${moduleDir}/${task.accelerator || task.ext.use_gpu ? 'environment.gpu.yml' : 'environment.yml'}"
    container "${task.accelerator || task.ext.use_gpu ? 'cicl.localhost/cicl-nextflow:0.1.0-gpu' : 'cicl.localhost/cicl-nextflow:0.1.0'}"

    // A task that is told to end is over when its shell is: wait until the training, which holds the lock, has written its checkpoint.
    afterScript 'if command -v flock > /dev/null && [ -e .training.lock ]; then flock --timeout 25 .training.lock true || true; fi'

    // For conf/base.config, which asks for memory and time by it
    ext input_mb: { megabytes(prepared.toRealPath()) as int }

    input:
    tuple val(meta), path(prepared), path(init), val(number_of_clusters)

    output:
    tuple val(meta), path("${prefix}.fit.pt"), emit: fit
    tuple val("${task.process}"), val('cicl'), eval("cicl.py --version | sed 's/.* //'"), topic: versions, emit: versions_cicl
    tuple val("${task.process}"), val('torch'), eval("python3 -c 'import importlib.metadata as m; print(m.version(\"torch\"))'"), topic: versions, emit: versions_torch
    tuple val("${task.process}"), val('cuda'), eval("python3 -c 'import torch; print(torch.version.cuda or \"no CUDA available\")'"), topic: versions, emit: versions_cuda

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    prefix = task.ext.prefix ?: "${meta.id}"
    if ("${prepared}" == "${prefix}.fit.pt" || "${init}" == "${prefix}.fit.pt") {
        error("Input and output of ${task.process} are both called '${prefix}.fit.pt': set another `ext.prefix`")
    }
    def device = task.accelerator || task.ext.use_gpu ? 'cuda' : 'cpu'
    // One process for each GPU; they share the cores.
    def gpus = task.accelerator ? task.accelerator.request : 1
    def several = gpus > 1 ? "--gpus ${gpus} " : ''
    def threads = Math.max(1, task.cpus.intdiv(gpus))
    def from = init ? "--init ${quoted("./${init.name}")}" : ''
    def n_clusters = number_of_clusters ? "--n-clusters ${quoted(number_of_clusters)}" : ''
    // Each attempt has a folder of its own, so a checkpoint outlives its attempt only in a folder that all of them see.
    def checkpoint = task.ext.checkpoint_dir ? "--checkpoint-dir ${quoted(file(task.ext.checkpoint_dir.toString()).toAbsolutePath())}" : ''
    """
    # Engine ${task.ext.engine ?: ''}
    export OMP_NUM_THREADS=${threads}
    if command -v flock > /dev/null; then exec 9> .training.lock; flock 9; fi
    cicl.py fit ${quoted("./${prepared.name}")} ${several}--id '${prefix}' --device ${device} --threads ${threads} ${from} ${n_clusters} ${checkpoint} ${args}
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    touch '${prefix}.fit.pt'
    """
}
