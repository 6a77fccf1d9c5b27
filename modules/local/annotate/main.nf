include { quoted } from '../functions'

process ANNOTATE {
    tag "${meta.id}"
    label 'process_low'

    conda "${moduleDir}/environment.yml"
    container 'cicl.localhost/cicl-nextflow:0.1.0'

    // For conf/base.config, which asks for memory by it
    ext input_mb: { (clustered.toRealPath().size() / 1e6) as int }

    input:
    tuple val(meta), path(clustered)
    path(celltypist_model, stageAs: 'celltypist/*')
    path(marker_list, stageAs: 'marker_list/*')
    path(reference_model, stageAs: 'reference/*')

    output:
    tuple val(meta), path("${prefix}/${prefix}.annotation.csv"), emit: csv
    tuple val(meta), path("${prefix}.annotation.json"), emit: json
    tuple val("${task.process}"), val('cicl'), eval("cicl.py --version | sed 's/.* //'"), topic: versions, emit: versions_cicl
    tuple val("${task.process}"), val('celltypist'), eval("python3 -c 'import importlib.metadata as m; print(m.version(\"celltypist\"))' 2> /dev/null || echo none"), topic: versions, emit: versions_celltypist

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    prefix = task.ext.prefix ?: "${meta.id}"
    if ("${clustered}" in ["${prefix}", "${prefix}.annotation.json"]) {
        error("Input and output of ${task.process} are both called '${clustered}': set another `ext.prefix`")
    }
    def options = [
        celltypist_model ? "--celltypist-model ${quoted(celltypist_model)}" : '',
        marker_list ? "--marker-list ${quoted(marker_list)}" : '',
        reference_model ? "--reference-model ${quoted(reference_model)} --device cpu" : '',
    ].findAll().join(' ')
    """
    # Engine ${task.ext.engine ?: ''}
    export OMP_NUM_THREADS=${task.cpus} NUMBA_NUM_THREADS=${task.cpus} CELLTYPIST_FOLDER="\$PWD/.celltypist"
    cicl.py annotate ${quoted("./${clustered.name}")} --id '${prefix}' --outdir '${prefix}' ${options} ${args}
    mv '${prefix}/${prefix}.annotation.json' .
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    mkdir '${prefix}'
    touch '${prefix}/${prefix}.annotation.csv' '${prefix}.annotation.json'
    """
}
