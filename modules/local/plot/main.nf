include { megabytes ; quoted } from '../functions'

process PLOT {
    tag "${meta.id}"
    label 'process_low'

    conda "${moduleDir}/environment.yml"
    container 'cicl.localhost/cicl-nextflow:0.1.0'

    // For conf/base.config, which asks for memory and time by it
    ext input_mb: { megabytes(clustered.toRealPath()) as int }

    input:
    tuple val(meta), path(clustered), path(metrics), path(markers), path(annotation)

    output:
    tuple val(meta), path("${prefix}/${prefix}.h5ad"), emit: h5ad
    tuple val(meta), path("${prefix}/${prefix}.*.png"), emit: png
    tuple val(meta), path("${prefix}/${prefix}*_mqc.json"), emit: multiqc
    tuple val("${task.process}"), val('cicl'), eval("cicl.py --version | sed 's/.* //'"), topic: versions, emit: versions_cicl

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    prefix = task.ext.prefix ?: "${meta.id}"
    if ("${prefix}" in ["${clustered}", "${metrics}"]) {
        error("Input and output of ${task.process} are both called '${prefix}': set another `ext.prefix`")
    }
    def options = [
        markers ? "--markers ${quoted("./${markers.name}")}" : '',
        annotation ? "--annotation ${quoted("./${annotation.name}")}" : '',
        meta.label_col ? "--label-col ${quoted(meta.label_col)}" : '',
        meta.batch_col ? "--batch-col ${quoted(meta.batch_col)}" : '',
    ].findAll().join(' ')
    """
    # Engine ${task.ext.engine ?: ''}
    export OMP_NUM_THREADS=${task.cpus} NUMBA_NUM_THREADS=${task.cpus}
    cicl.py plot ${quoted("./${clustered.name}")} --metrics ${quoted("./${metrics.name}")} --id '${prefix}' --outdir '${prefix}' ${options} ${args}
    """

    stub:
    def args = task.ext.args ?: ''
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    mkdir '${prefix}'
    touch '${prefix}/${prefix}.h5ad' '${prefix}/${prefix}'.{umap,training,sizes}.png ${args.contains('--tsne') ? "'${prefix}/${prefix}.tsne.png'" : ''}
    for kind in '' .sizes .clusters .umap .training; do echo '{}' > "${prefix}/${prefix}\${kind}_mqc.json"; done
    """
}
