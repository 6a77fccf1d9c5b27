process STAR_GENOMEGENERATE {
    tag "${fasta}"
    label 'process_high'

    conda "${moduleDir}/environment.yml"
    container "${workflow.containerEngine in ['singularity', 'apptainer'] && !task.ext.singularity_pull_docker_container
        ? 'https://depot.galaxyproject.org/singularity/star:2.7.10b--h9ee0642_0'
        : 'quay.io/biocontainers/star:2.7.10b--h9ee0642_0'}"

    // For conf/base.config, which asks for memory by it
    ext input_mb: { (fasta.toRealPath().size() / 1e6) as int }

    input:
    tuple val(meta), path(fasta)
    tuple val(meta2), path(gtf)

    output:
    tuple val(meta), path("star"), emit: index
    tuple val("${task.process}"), val('star'), eval("STAR --version 2> /dev/null || echo none"), topic: versions, emit: versions_star

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    def memory = task.memory ? "--limitGenomeGenerateRAM ${Math.max(task.memory.toBytes() - 100000000, 1000000000)}" : ''
    def annotation = gtf ? "--sjdbGTFfile ${gtf}" : ''
    """
    # As STAR's manual says for genomes that are small: log2(length) / 2 - 1, at most 14
    bases=\$(awk '!/^>/ { n += length(\$0) } END { bases = int(log(n) / log(2) / 2 - 1); print (bases > 14 ? 14 : bases) }' ${fasta})
    mkdir star
    STAR --runMode genomeGenerate --genomeDir star --genomeFastaFiles ${fasta} ${annotation} \\
        --genomeSAindexNbases "\$bases" --runThreadN ${task.cpus} ${memory} ${args}
    """

    stub:
    """
    mkdir star
    touch star/Genome star/SA star/SAindex star/genomeParameters.txt
    """
}
