process CHECKSUMS {
    tag "${meta.id}"
    label 'process_single'

    conda "${moduleDir}/environment.yml"
    container 'cicl.localhost/cicl-nextflow:0.1.0'

    input:
    tuple val(meta), path(files, stageAs: '?/*')

    output:
    tuple val(meta), path("${prefix}.inputs.tsv"), emit: checksums
    tuple val("${task.process}"), val('cicl'), eval("cicl.py --version | sed 's/.* //'"), topic: versions, emit: versions_cicl

    when:
    task.ext.when == null || task.ext.when

    script:
    prefix = task.ext.prefix ?: "${meta.id}"
    def paths = (files instanceof List ? files : [files]).collect { path -> "${path}" }.join(' ')
    """
    # Engine ${task.ext.engine ?: ''}
    cicl.py checksums ${paths} --id '${prefix}'
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    printf 'sample\\tfile\\tbytes\\tsha256\\n' > '${prefix}.inputs.tsv'
    """
}
