process MULTIQC {
    label 'process_single'

    conda "${moduleDir}/environment.yml"
    container 'cicl.localhost/cicl-nextflow:0.1.0'

    input:
    path(files, stageAs: 'files/*')
    path(config, stageAs: 'config/*')
    path(extra_config, stageAs: 'extra_config/*')

    output:
    path "multiqc_report.html", emit: report
    path "multiqc_report_data", emit: data
    // Not to the topic: MultiQC waits for the topic to end.
    tuple val("${task.process}"), val('multiqc'), eval("multiqc --version | sed 's/.* //'"), emit: versions_multiqc

    script:
    def args = task.ext.args ?: ''
    def extra = extra_config ? "--config ${extra_config}" : ''
    """
    export MPLCONFIGDIR="\$PWD/.matplotlib"
    multiqc --force --no-version-check --filename multiqc_report.html --config ${config} ${extra} ${args} files
    """

    stub:
    """
    mkdir multiqc_report_data
    touch multiqc_report.html
    """
}
