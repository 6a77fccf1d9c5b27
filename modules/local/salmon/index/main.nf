process SALMON_INDEX {
    label 'process_high'
    memory { (4.GB + 8 * transcripts.size().B) * task.attempt }

    conda "${moduleDir}/../environment.yml"
    container 'biocontainers/simpleaf:0.19.5--ha6fb395_0'

    input:
    path(transcripts)

    output:
    path "salmon", emit: index
    tuple val("${task.process}"), val('salmon'), eval("salmon --version 2> /dev/null | sed 's/.* //' | grep . || echo none"), topic: versions, emit: versions_salmon

    script:
    def args = task.ext.args ?: ''
    """
    salmon index --transcripts ${transcripts} --index salmon --keepDuplicates --threads ${task.cpus} ${args}
    """

    stub:
    """
    mkdir salmon
    touch salmon/seq.bin
    """
}
