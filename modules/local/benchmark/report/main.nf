process BENCHMARK_REPORT {
    label 'process_single'

    conda "${moduleDir}/environment.yml"
    container 'cicl.localhost/cicl-nextflow:0.1.0'

    input:
    path(tables, stageAs: 'tables/*')
    path(plan)
    path(left_out)

    output:
    path "results.tsv", emit: results
    path "summary.tsv", emit: summary
    path "groups.tsv", emit: groups
    path "paired.tsv", emit: paired
    path "folds.tsv", optional: true, emit: folds
    path "paper.tsv", optional: true, emit: paper
    path "report.html", emit: html
    tuple val("${task.process}"), val('cicl'), eval("cicl.py --version | sed 's/.* //'"), topic: versions, emit: versions_cicl

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    """
    cicl_benchmark.py report tables --plan ${plan} --left-out ${left_out} ${args}
    """

    stub:
    """
    touch results.tsv summary.tsv groups.tsv paired.tsv report.html
    """
}
