process GFFREAD {
    tag "${meta.id}"
    label 'process_low'

    conda "${moduleDir}/environment.yml"
    container "${workflow.containerEngine in ['singularity', 'apptainer'] && !task.ext.singularity_pull_docker_container
        ? 'https://depot.galaxyproject.org/singularity/gffread:0.12.7--hdcf5f25_4'
        : 'quay.io/biocontainers/gffread:0.12.7--hdcf5f25_4'}"

    input:
    tuple val(meta), path(gff)
    path fasta

    output:
    tuple val(meta), path("*.gtf"), emit: gtf, optional: true
    tuple val(meta), path("*.gff3"), emit: gffread_gff, optional: true
    tuple val(meta), path("*.fasta"), emit: gffread_fasta, optional: true
    tuple val(meta), path("*.bed"), emit: bed, optional: true
    tuple val("${task.process}"), val('gffread'), eval("gffread --version 2> /dev/null || echo none"), topic: versions, emit: versions_gffread

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    def prefix = task.ext.prefix ?: "${meta.id}"
    // -w, -x and -y write sequences and take the name of the file after them, so they come last.
    def sequences = args.tokenize().findAll { word -> word in ['-w', '-x', '-y'] }
    def others = (args.tokenize() - sequences).join(' ')
    def ending = sequences ? 'fasta' : '--bed' in args.tokenize() ? 'bed' : '-T' in args.tokenize() ? 'gtf' : 'gff3'
    if ("${prefix}.${ending}" in ["${gff}", "${fasta}"]) {
        error("Input and output of ${task.process} are both called '${prefix}.${ending}': set another `ext.prefix`")
    }
    """
    gffread ${gff} ${fasta ? "-g ${fasta}" : ''} ${others} ${sequences ? sequences.first() : '-o'} '${prefix}.${ending}'
    """

    stub:
    def args = (task.ext.args ?: '').tokenize()
    def prefix = task.ext.prefix ?: "${meta.id}"
    def ending = args.any { word -> word in ['-w', '-x', '-y'] } ? 'fasta' : '--bed' in args ? 'bed' : '-T' in args ? 'gtf' : 'gff3'
    """
    touch '${prefix}.${ending}'
    """
}
