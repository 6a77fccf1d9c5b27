process CICL {
    tag "${meta.id}"
    label 'process_medium'
    label 'process_gpu'

    conda "${moduleDir}/${task.accelerator || task.ext.use_gpu ? 'environment.gpu.yml' : 'environment.yml'}"
    container "${task.accelerator || task.ext.use_gpu ? 'cicl.localhost/cicl-nextflow:0.1.0-gpu' : 'cicl.localhost/cicl-nextflow:0.1.0'}"

    // A task that is told to end is over when its shell is: wait until the training, which holds the lock, has written its checkpoint.
    afterScript 'if command -v flock > /dev/null && [ -e .training.lock ]; then flock --timeout 25 .training.lock true || true; fi'

    // For conf/base.config, which asks for memory and time by the first, and conf/gpu.config, which asks for a GPU by the second
    ext input_mb: { megabytes(prepared.toRealPath()) as int }, n_cells: { meta.n_cells ?: 0 }

    input:
    tuple val(meta), path(prepared), val(number_of_clusters), val(label_column)

    output:
    tuple val(meta), path("${prefix}.clustered.h5ad"), emit: h5ad
    tuple val(meta), path("${prefix}/${prefix}.clusters.csv"), emit: clusters
    tuple val(meta), path("${prefix}/${prefix}.embedding.parquet"), emit: embedding
    tuple val(meta), path("${prefix}/${prefix}.model.pt"), emit: model
    tuple val(meta), path("${prefix}/${prefix}.metrics.json"), emit: metrics
    tuple val("${task.process}"), val('cicl'), eval("cicl.py --version | sed 's/.* //'"), topic: versions, emit: versions_cicl
    tuple val("${task.process}"), val('torch'), eval("python3 -c 'import importlib.metadata as m; print(m.version(\"torch\"))'"), topic: versions, emit: versions_torch
    tuple val("${task.process}"), val('cuda'), eval("sed -n 's/^ *\"cuda\": \"\\(.*\\)\".*/\\1/p' ${prefix}/${prefix}.metrics.json | grep . || echo 'no CUDA available'"), topic: versions, emit: versions_cuda
    tuple val("${task.process}"), val('nvidia-driver'), eval("sed -n 's/^ *\"driver\": \"\\(.*\\)\".*/\\1/p' ${prefix}/${prefix}.metrics.json | grep . || echo none"), topic: versions, emit: versions_driver

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    def args2 = task.ext.args2 ?: ''
    def args3 = task.ext.args3 ?: ''
    prefix = task.ext.prefix ?: "${meta.id}"
    if ("${prepared}" in ["${prefix}", "${prefix}.fit.pt", "${prefix}.clustered.h5ad"]) {
        error("Input and output of ${task.process} are both called '${prepared}': set another `ext.prefix`")
    }
    def device = task.accelerator || task.ext.use_gpu ? 'cuda' : 'cpu'
    // One process for each GPU; they share the cores.
    def gpus = task.accelerator ? task.accelerator.request : 1
    def several = gpus > 1 ? "--gpus ${gpus} " : ''
    def threads = Math.max(1, task.cpus.intdiv(gpus))
    def n_clusters = number_of_clusters ? "--n-clusters ${quoted(number_of_clusters)}" : ''
    def label_col = label_column ? "--label-col ${quoted(label_column)}" : ''
    // Each attempt has a folder of its own, so a checkpoint outlives its attempt only in a folder that all of them see.
    def checkpoint = task.ext.checkpoint_dir ? "--checkpoint-dir ${quoted(file(task.ext.checkpoint_dir.toString()).toAbsolutePath())}" : ''
    """
    # Engine ${task.ext.engine ?: ''}
    export OMP_NUM_THREADS=${threads}
    if command -v flock > /dev/null; then exec 9> .training.lock; flock 9; fi
    cicl.py fit ${quoted("./${prepared.name}")} ${several}--id '${prefix}' --device ${device} --threads ${threads} ${n_clusters} ${checkpoint} ${args}
    cicl.py cluster ${quoted("./${prepared.name}")} --fit '${prefix}.fit.pt' --id '${prefix}' --outdir '${prefix}' ${label_col} ${args2}
    cicl.py score '${prefix}/${prefix}.clustered.h5ad' --id '${prefix}' --outdir '${prefix}' ${label_col} ${args3}
    mv '${prefix}/${prefix}.clustered.h5ad' .
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    mkdir '${prefix}'
    touch '${prefix}.clustered.h5ad' '${prefix}/${prefix}'.{clusters.csv,embedding.parquet,model.pt,metrics.json}
    """
}

// A word for the shell: names of columns and layers may hold blanks and quotes
def quoted(value) {
    return "'" + value.toString().replace("'", "'\\''") + "'"
}

// Size of a file, or of all files below a folder, in MB
def megabytes(path) {
    def files = path.isDirectory() ? path.listFiles().toList() : [path]
    return files.sum(0) { file -> file.isDirectory() ? megabytes(file) : file.size() / 1e6 }
}
