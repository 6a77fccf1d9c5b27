include { quoted } from '../functions'

process MARKERS {
    tag "${meta.id}"
    label 'process_low'

    conda "${moduleDir}/environment.yml"
    container 'cicl.localhost/cicl-nextflow:0.1.0'

    // For conf/base.config, which asks for memory by it
    ext input_mb: { (clustered.toRealPath().size() / 1e6) as int }

    input:
    tuple val(meta), path(clustered)

    output:
    tuple val(meta), path("${prefix}/${prefix}.markers.csv"), emit: csv
    tuple val(meta), path("${prefix}.markers.json"), emit: json
    tuple val(meta), path("${prefix}/${prefix}.markers_*.png"), emit: png, optional: true
    tuple val("${task.process}"), val('cicl'), eval("cicl.py --version | sed 's/.* //'"), topic: versions, emit: versions_cicl

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    prefix = task.ext.prefix ?: "${meta.id}"
    if ("${clustered}" in ["${prefix}", "${prefix}.markers.json"]) {
        error("Input and output of ${task.process} are both called '${clustered}': set another `ext.prefix`")
    }
    """
    # Engine ${task.ext.engine ?: ''}
    export OMP_NUM_THREADS=${task.cpus} NUMBA_NUM_THREADS=${task.cpus}
    cicl.py markers ${quoted("./${clustered.name}")} --id '${prefix}' --outdir '${prefix}' ${args}
    mv '${prefix}/${prefix}.markers.json' .
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    mkdir '${prefix}'
    touch '${prefix}/${prefix}.markers.csv' '${prefix}.markers.json' '${prefix}/${prefix}'.markers_{dotplot,heatmap}.png
    """
}
