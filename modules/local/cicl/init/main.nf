include { megabytes ; quoted } from '../../functions'

process CICL_INIT {
    tag "${meta.id}"
    label 'process_medium'

    conda "${moduleDir}/environment.yml"
    container 'cicl.localhost/cicl-nextflow:0.1.0'

    // For conf/base.config, which asks for memory and time by it
    ext input_mb: { megabytes(prepared.toRealPath()) as int }

    input:
    tuple val(meta), path(prepared), val(number_of_clusters)

    output:
    tuple val(meta), path("${prefix}.init.pt"), emit: init
    tuple val("${task.process}"), val('cicl'), eval("cicl.py --version | sed 's/.* //'"), topic: versions, emit: versions_cicl
    tuple val("${task.process}"), val('torch'), eval("python3 -c 'import importlib.metadata as m; print(m.version(\"torch\"))'"), topic: versions, emit: versions_torch

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    prefix = task.ext.prefix ?: "${meta.id}"
    def n_clusters = number_of_clusters ? "--n-clusters ${quoted(number_of_clusters)}" : ''
    """
    # Engine ${task.ext.engine ?: ''}
    export OMP_NUM_THREADS=${task.cpus}
    cicl.py init ${quoted("./${prepared.name}")} --id '${prefix}' --threads ${task.cpus} ${n_clusters} ${args}
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    touch '${prefix}.init.pt'
    """
}
