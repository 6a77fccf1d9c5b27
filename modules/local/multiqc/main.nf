include { quoted } from '../functions'

process MULTIQC {
    tag "${meta.id}"
    label 'process_single'

    conda "${moduleDir}/environment.yml"
    container "${workflow.containerEngine in ['singularity', 'apptainer'] && !task.ext.singularity_pull_docker_container
        ? 'https://depot.galaxyproject.org/singularity/multiqc:1.35--pyhdfd78af_1'
        : 'quay.io/biocontainers/multiqc:1.35--pyhdfd78af_1'}"

    input:
    tuple val(meta), path(multiqc_files, stageAs: 'files/?/*'), path(multiqc_config, stageAs: 'config/?/*'), path(multiqc_logo), path(replace_names), path(sample_names)

    output:
    tuple val(meta), path("*.html"), emit: report
    tuple val(meta), path("*_data"), emit: data
    tuple val(meta), path("*_plots"), emit: plots, optional: true
    // Not to the topic: MultiQC waits for the topic to end.
    tuple val("${task.process}"), val('multiqc'), eval("multiqc --version | sed 's/.* //'"), emit: versions

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    def prefix = task.ext.prefix ?: 'multiqc_report'
    def options = [
        [multiqc_config].flatten().collect { path -> "--config ${path}" },
        multiqc_logo ? "--cl-config ${quoted("custom_logo: \"${multiqc_logo.name}\"")}" : '',
        replace_names ? "--replace-names ${replace_names}" : '',
        sample_names ? "--sample-names ${sample_names}" : '',
    ].flatten().findAll().join(' ')
    """
    export MPLCONFIGDIR="\$PWD/.matplotlib"
    multiqc --force --no-version-check --filename '${prefix}.html' ${options} ${args} files
    """

    stub:
    def prefix = task.ext.prefix ?: 'multiqc_report'
    """
    mkdir '${prefix}_data'
    touch '${prefix}.html'
    """
}
