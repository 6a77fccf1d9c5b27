process STAR_SOLO {
    tag "${meta.id}"
    label 'process_high'
    // STAR holds the whole index in memory.
    memory { (6.GB + 11 * index.toRealPath().resolve('Genome').size().B) * task.attempt }

    conda "${moduleDir}/../environment.yml"
    container 'biocontainers/star:2.7.10b--h9ee0642_0'

    input:
    tuple val(meta), path(fastq_1, stageAs: 'read_1/?/*'), path(fastq_2, stageAs: 'read_2/?/*')
    path(index)
    path(whitelist, stageAs: 'whitelist/*')
    tuple val(barcode_length), val(umi_length)

    output:
    tuple val(meta), path("${prefix}.solo"), emit: counts
    tuple val(meta), path("${prefix}.solo/Summary.csv"), emit: summary
    tuple val(meta), path("${prefix}.Log.final.out"), emit: log
    tuple val("${task.process}"), val('star'), eval("STAR --version 2> /dev/null || echo none"), topic: versions, emit: versions_star

    script:
    def args = task.ext.args ?: ''
    prefix = task.ext.prefix ?: "${meta.id}"
    def lanes_1 = fastq_1 instanceof List ? fastq_1 : [fastq_1]
    def lanes_2 = fastq_2 instanceof List ? fastq_2 : [fastq_2]
    def zipped = (lanes_1 + lanes_2).collect { path -> "${path}".endsWith('.gz') }.unique()
    if (zipped.size() > 1) {
        error("ERROR: ${meta.id}: some of its FASTQ files are gzipped and some are not; make them all alike")
    }
    def feature = (args =~ /--soloFeatures (\S+)/).collect { _all, name -> name }.find() ?: 'Gene'
    def unpack = whitelist ? "${whitelist.name.endsWith('.gz') ? 'gzip -cd' : 'cat'} ${whitelist} | tr -d '\\r' > whitelist.txt" : ''
    // Counts as Cell Ranger makes them, by the manual of STARsolo
    """
    ${unpack}
    STAR --genomeDir ${index} --runThreadN ${task.cpus} --outFileNamePrefix '${prefix}.' \\
        --readFilesIn '${lanes_2.join(',')}' '${lanes_1.join(',')}' ${zipped[0] ? "--readFilesCommand 'gzip -cd'" : ''} \\
        --soloType CB_UMI_Simple --soloCBwhitelist ${whitelist ? 'whitelist.txt' : 'None'} --soloCBstart 1 --soloCBlen ${barcode_length} \\
        --soloUMIstart ${barcode_length + 1} --soloUMIlen ${umi_length} --soloBarcodeReadLength 0 --soloCellFilter None \\
        --soloCBmatchWLtype 1MM_multi_Nbase_pseudocounts --soloUMIdedup 1MM_CR --soloUMIfiltering MultiGeneUMI_CR \\
        --clipAdapterType CellRanger4 --outFilterScoreMin 30 --outSAMtype None ${args}
    mkdir '${prefix}.solo'
    mv '${prefix}.Solo.out/${feature}/Summary.csv' '${prefix}.Solo.out/Barcodes.stats' '${prefix}.Solo.out/${feature}/raw/'* '${prefix}.solo'
    gzip '${prefix}.solo/'{matrix.mtx,features.tsv,barcodes.tsv}
    rm -r '${prefix}.Solo.out'
    rm -f whitelist.txt
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    mkdir '${prefix}.solo'
    touch '${prefix}.solo'/{matrix.mtx.gz,features.tsv.gz,barcodes.tsv.gz,Summary.csv} '${prefix}.Log.final.out'
    """
}
