include { megabytes ; quoted } from '../../functions'

process CICL_CLUSTER {
    tag "${meta.id}"
    label 'process_medium'

    conda "${moduleDir}/environment.yml"
    container 'cicl.localhost/cicl-nextflow:0.1.0'

    // For conf/base.config, which asks for memory and time by it
    ext input_mb: { megabytes(prepared.toRealPath()) as int }

    input:
    tuple val(meta), path(prepared), path(fit), val(label_column)

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
    prefix = task.ext.prefix ?: "${meta.id}"
    if ("${prepared}" in ["${prefix}", "${prefix}.clustered.h5ad"]) {
        error("Input and output of ${task.process} are both called '${prepared}': set another `ext.prefix`")
    }
    def label_col = label_column ? "--label-col ${quoted(label_column)}" : ''
    """
    # Engine ${task.ext.engine ?: ''}
    export OMP_NUM_THREADS=${task.cpus}
    cicl.py cluster ${quoted("./${prepared.name}")} --fit ${quoted("./${fit.name}")} --id '${prefix}' --outdir '${prefix}' ${label_col} ${args}
    cicl.py score '${prefix}/${prefix}.clustered.h5ad' --id '${prefix}' --outdir '${prefix}' ${label_col} ${args2}
    mv '${prefix}/${prefix}.clustered.h5ad' .
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    mkdir '${prefix}'
    touch '${prefix}.clustered.h5ad' '${prefix}/${prefix}'.{clusters.csv,embedding.parquet,model.pt,metrics.json}
    """
}
