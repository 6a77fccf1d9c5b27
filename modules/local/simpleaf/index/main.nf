process SIMPLEAF_INDEX {
    tag "${meta.id ?: meta2.id}"
    label 'process_high'

    conda "${moduleDir}/environment.yml"
    container "${workflow.containerEngine in ['singularity', 'apptainer'] && !task.ext.singularity_pull_docker_container
        ? 'https://depot.galaxyproject.org/singularity/simpleaf:0.19.5--ha6fb395_0'
        : 'quay.io/biocontainers/simpleaf:0.19.5--ha6fb395_0'}"

    // For conf/base.config, which asks for memory by it
    ext input_mb: { transcript_fasta ? (transcript_fasta.toRealPath().size() / 1e6) as int : 0 }

    input:
    tuple val(meta), path(genome_fasta), path(genome_gtf)
    tuple val(meta2), path(transcript_fasta)
    tuple val(meta3), path(probe_csv)
    tuple val(meta4), path(feature_csv)

    output:
    tuple val(meta2), path("${prefix}/index"), emit: index
    tuple val("${task.process}"), val('salmon'), eval("salmon --version 2> /dev/null | sed 's/.* //' | grep . || echo none"), topic: versions, emit: versions_salmon

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    prefix = task.ext.prefix ?: "${meta.id ?: meta2.id}"
    if (genome_fasta || genome_gtf || probe_csv || feature_csv) {
        error("${task.process} makes an index of transcripts only: give `transcript_fasta`, or take nf-core's module of this name, which has the same inputs")
    }
    """
    mkdir -p '${prefix}'
    salmon index --transcripts ${transcript_fasta} --index '${prefix}/index' --keepDuplicates --threads ${task.cpus} ${args}
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id ?: meta2.id}"
    """
    mkdir -p '${prefix}/index'
    touch '${prefix}/index/seq.bin'
    """
}
