process REPORT {
    label 'process_single'

    conda "${moduleDir}/environment.yml"
    container 'cicl.localhost/cicl-nextflow:0.1.0'

    input:
    path(h5ad, stageAs: 'samples/*')
    path(metrics, stageAs: 'samples/*')

    output:
    path "cicl_report.html", emit: html
    path "cicl_summary.txt", emit: summary
    tuple val("${task.process}"), val('cicl'), eval("cicl.py --version | sed 's/.* //'"), topic: versions, emit: versions_cicl

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    """
    # Engine ${task.ext.engine ?: ''}
    cicl.py report samples/*.h5ad samples/*.metrics.json ${args}
    """

    stub:
    """
    touch cicl_report.html cicl_summary.txt
    """
}
