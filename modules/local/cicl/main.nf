process CICL {
    tag "${meta.id}"
    label 'process_medium'
    label 'process_gpu'

    conda "${moduleDir}/${task.accelerator || task.ext.use_gpu ? 'environment.gpu.yml' : 'environment.yml'}"
    container "${task.accelerator || task.ext.use_gpu ? 'cicl-nextflow:0.1.0-gpu' : 'cicl-nextflow:0.1.0'}"

    input:
    tuple val(meta), path(prepared)

    output:
    tuple val(meta), path("${prefix}.clustered.h5ad"), emit: h5ad
    tuple val(meta), path("${prefix}/${prefix}.clusters.csv"), emit: clusters
    tuple val(meta), path("${prefix}/${prefix}.embedding.parquet"), emit: embedding
    tuple val(meta), path("${prefix}/${prefix}.model.pt"), emit: model
    tuple val(meta), path("${prefix}/${prefix}.metrics.json"), emit: metrics
    tuple val("${task.process}"), val('cicl'), eval("cicl.py --version | sed 's/.* //'"), topic: versions, emit: versions_cicl
    tuple val("${task.process}"), val('torch'), eval("python3 -c 'import importlib.metadata as m; print(m.version(\"torch\"))'"), topic: versions, emit: versions_torch
    tuple val("${task.process}"), val('cuda'), eval("sed -n 's/.*(CUDA \\([0-9.]*\\)).*/\\1/p' ${prefix}/${prefix}.metrics.json | grep . || echo none"), topic: versions, emit: versions_cuda

    script:
    def args = task.ext.args ?: ''
    def args2 = task.ext.args2 ?: ''
    def args3 = task.ext.args3 ?: ''
    prefix = task.ext.prefix ?: "${meta.id}"
    if ("${prepared}" in ["${prefix}", "${prefix}.fit.pt", "${prefix}.clustered.h5ad"]) {
        error("Input and output of ${task.process} are both called '${prepared}': set another `ext.prefix`")
    }
    def device = task.accelerator || task.ext.use_gpu ? 'cuda' : 'cpu'
    def n_clusters = meta.n_clusters ? "--n-clusters ${quoted(meta.n_clusters)}" : ''
    def label_col = meta.label_col ? "--label-col ${quoted(meta.label_col)}" : ''
    """
    export OMP_NUM_THREADS=${task.cpus}
    cicl.py fit '${prepared}' --id '${prefix}' --device ${device} --threads ${task.cpus} ${n_clusters} ${args}
    cicl.py cluster '${prepared}' --fit '${prefix}.fit.pt' --id '${prefix}' --outdir '${prefix}' ${label_col} ${args2}
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
