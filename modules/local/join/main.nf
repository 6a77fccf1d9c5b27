include { megabytes ; quoted } from '../functions'

process JOIN {
    tag "${meta.id}"
    label 'process_low'

    conda "${moduleDir}/environment.yml"
    container 'cicl.localhost/cicl-nextflow:0.1.0'

    // For conf/base.config, which asks for memory by it
    ext input_mb: { [counts].flatten().sum(0) { path -> megabytes(path.toRealPath()) } as int }

    input:
    tuple val(meta), path(counts, stageAs: '?/*'), val(samples)

    output:
    tuple val(meta), path("${prefix}.joined.h5ad"), emit: h5ad
    tuple val("${task.process}"), val('cicl'), eval("cicl.py --version | sed 's/.* //'"), topic: versions, emit: versions_cicl

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    def args2 = task.ext.args2 ?: ''
    prefix = task.ext.prefix ?: "${meta.id}"
    def files = (counts instanceof List ? counts : [counts]).collect { path -> "${path}" }.join(' ')
    def layer = meta.counts_layer ? "--counts-layer ${quoted(meta.counts_layer)}" : ''
    def cells_in = meta.cells_in ? "--cells-in ${meta.cells_in}" : ''
    """
    # Engine ${task.ext.engine ?: ''}
    export OMP_NUM_THREADS=${task.cpus} NUMBA_NUM_THREADS=${task.cpus}
    cicl.py join ${files} --samples '${samples.join(',')}' --id '${prefix}' ${layer} ${cells_in} ${args} ${args2}
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    touch '${prefix}.joined.h5ad'
    """
}
