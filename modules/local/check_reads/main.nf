process CHECK_READS {
    tag "${meta.id}"
    label 'process_single'

    conda "${moduleDir}/environment.yml"
    container 'cicl.localhost/cicl-nextflow:0.1.0'

    input:
    tuple val(meta), path(fastq_1, stageAs: 'read_1/?/*'), path(fastq_2, stageAs: 'read_2/?/*')
    path(whitelist, stageAs: 'whitelist/*')
    val(protocol)

    output:
    tuple val(meta), path("${prefix}.reads.json"), emit: json
    tuple val("${task.process}"), val('cicl'), eval("cicl.py --version | sed 's/.* //'"), topic: versions, emit: versions_cicl

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    prefix = task.ext.prefix ?: "${meta.id}"
    def mates = [fastq_1, fastq_2].collect { files -> files instanceof List ? files : [files] }
    def pairs = mates.transpose().collect { read_1, read_2 -> "${read_1} ${read_2}" }.join(' ')
    """
    # Engine ${task.ext.engine ?: ''}
    cicl.py check-reads ${pairs} --id '${prefix}' --protocol ${protocol} ${whitelist ? "--whitelist ${whitelist}" : ''} ${args}
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    echo '{"barcode_length": 16, "umi_length": 12}' > '${prefix}.reads.json'
    """
}
