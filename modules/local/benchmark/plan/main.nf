include { quoted } from '../../functions'

process BENCHMARK_PLAN {
    label 'process_single'
    // What is installed may have changed since: a second, and the plan is up to date.
    cache false
    // Methods that cannot be run are named on the terminal.
    debug true

    conda "${moduleDir}/environment.yml"
    container 'cicl.localhost/cicl-nextflow:0.1.0'

    input:
    path(folder, stageAs: 'data')
    path(programs, stageAs: 'programs/*')

    output:
    path "plan.tsv", emit: plan
    path "left_out.tsv", emit: left_out
    tuple val("${task.process}"), val('cicl'), eval("cicl.py --version | sed 's/.* //'"), topic: versions, emit: versions_cicl

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    def options = programs ? "--programs ${quoted(programs)}" : ''
    """
    cicl_benchmark.py plan data ${options} ${args}
    """

    stub:
    """
    printf 'dataset\\tinput_kind\\tmethods\\ttracks\\tseeds\\tsetting\\toptions\\tcode\\tgroup\\tstudy\\tpaper\\twhole\\n' > plan.tsv
    for h5ad in data/*.h5ad; do
        printf '%s\\tcounts\\tcicl\\tgiven\\t0\\t\\t\\tstub\\t\\t\\t\\t\\n' "\$(basename "\$h5ad" .h5ad)" >> plan.tsv
    done
    touch left_out.tsv
    """
}
