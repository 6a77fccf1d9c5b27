process CICL_INTEGRATE {
    tag "${meta.id}"
    label 'process_medium'
    label 'process_gpu'

    conda "${moduleDir}/${task.accelerator || task.ext.use_gpu ? 'environment.gpu.yml' : 'environment.yml'}"
    container "${task.accelerator || task.ext.use_gpu ? 'cicl.localhost/cicl-nextflow:0.1.0-gpu' : 'cicl.localhost/cicl-nextflow:0.1.0'}"

    input:
    tuple val(meta), path(h5ad)
    val batch_col

    output:
    tuple val(meta), path("${prefix}.h5ad"), emit: h5ad
    path "X_${prefix}.parquet", emit: obsm
    path "X_${prefix}.pkl", emit: obsm_pkl
    path "${prefix}.parquet", emit: obs
    path "${prefix}.pkl", emit: obs_pkl
    tuple val(meta), path("${prefix}.model.pt"), emit: model
    path "${prefix}_mqc.json", emit: multiqc_files
    tuple val("${task.process}"), val('cicl'), eval("cicl.py --version | sed 's/.* //'"), topic: versions, emit: versions_cicl
    tuple val("${task.process}"), val('torch'), eval("python3 -c 'import importlib.metadata as m; print(m.version(\"torch\"))'"), topic: versions, emit: versions_torch
    tuple val("${task.process}"), val('cuda'), eval("python3 -c 'import torch; print(torch.version.cuda or \"no CUDA available\")'"), topic: versions, emit: versions_cuda

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    prefix = task.ext.prefix ?: "${meta.id}"
    if ("${h5ad}" == "${prefix}.h5ad") {
        error("Input and output of ${task.process} are both called '${h5ad}': set another `ext.prefix`")
    }
    def device = task.accelerator || task.ext.use_gpu ? 'cuda' : 'cpu'
    def batch = batch_col ? "--batch-col ${quoted(batch_col)}" : ''
    """
    # Engine ${task.ext.engine ?: ''}
    export OMP_NUM_THREADS=${task.cpus}
    cicl.py integrate ${quoted("./${h5ad.name}")} --id '${prefix}' --device ${device} --threads ${task.cpus} ${batch} ${args}
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    touch '${prefix}.h5ad' 'X_${prefix}.parquet' 'X_${prefix}.pkl' '${prefix}.parquet' '${prefix}.pkl' '${prefix}.model.pt'
    echo '{}' > '${prefix}_mqc.json'
    """
}

// A word for the shell: names of files and columns may hold blanks and quotes
def quoted(value) {
    return "'" + value.toString().replace("'", "'\\''") + "'"
}
