process CALL_CELLS {
    tag "${meta.id}"
    label 'process_low'

    conda "${moduleDir}/environment.yml"
    container 'cicl.localhost/cicl-nextflow:0.1.0'

    input:
    tuple val(meta), path(counts, stageAs: 'counts/*'), path(reads), path(summary, stageAs: 'summary/*'), path(genes, stageAs: 'genes/*')

    output:
    tuple val(meta), path("${prefix}.cells.h5ad"), emit: h5ad
    tuple val("${task.process}"), val('cicl'), eval("cicl.py --version | sed 's/.* //'"), topic: versions, emit: versions_cicl

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    prefix = task.ext.prefix ?: "${meta.id}"
    def options = [
        meta.expected_cells ? "--expected-cells ${meta.expected_cells}" : '',
        reads ? "--reads ${reads}" : '',
        summary ? "--summary ${summary}" : '',
        genes ? "--genes ${genes}" : '',
    ].findAll().join(' ')
    """
    # Engine ${task.ext.engine ?: ''}
    cicl.py call-cells ${counts} --id '${prefix}' ${options} ${args}
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    touch '${prefix}.cells.h5ad'
    """
}
