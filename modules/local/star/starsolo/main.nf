include { quoted } from '../../functions'

process STAR_STARSOLO {
    tag "${meta.id}"
    label 'process_high'

    conda "${moduleDir}/environment.yml"
    container "${workflow.containerEngine in ['singularity', 'apptainer'] && !task.ext.singularity_pull_docker_container
        ? 'https://depot.galaxyproject.org/singularity/star:2.7.10b--h9ee0642_0'
        : 'quay.io/biocontainers/star:2.7.10b--h9ee0642_0'}"

    // STAR holds the whole index in memory; for conf/base.config
    ext input_mb: { (index.toRealPath().resolve('Genome').size() / 1e6) as int }

    input:
    tuple val(meta), val(solotype), path(reads, stageAs: 'reads/?/*'), path(manifest)
    path(opt_whitelist, stageAs: 'whitelist/*')
    tuple val(meta2), path(index)
    tuple val(meta3), path(gtf)
    val(star_ignore_sjdbgtf)

    output:
    tuple val(meta), path("*.Solo.out"), emit: counts
    tuple val(meta), path("*.Solo.out/Gene*/raw"), emit: raw_counts
    tuple val(meta), path("*Log.final.out"), emit: log_final
    tuple val(meta), path("*Log.out"), emit: log_out
    tuple val(meta), path("*Log.progress.out"), emit: log_progress
    tuple val(meta), path("*.Solo.out/Gene*/Summary.csv"), emit: summary
    tuple val("${task.process}"), val('star'), eval("STAR --version 2> /dev/null || echo none"), topic: versions, emit: versions_star

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    def prefix = task.ext.prefix ?: "${meta.id}"
    if (solotype != 'CB_UMI_Simple') {
        error("ERROR: ${meta.id}: reads of the kind ${solotype} are not counted; give CB_UMI_Simple, a barcode and a UMI in read 1")
    }
    // Read 1 and read 2 of each lane in turn
    def (lanes_1, lanes_2) = reads.collate(2).transpose()
    def zipped = reads.collect { path -> "${path}".endsWith('.gz') }.unique()
    if (zipped.size() > 1) {
        error("ERROR: ${meta.id}: some of its FASTQ files are gzipped and some are not; make them all alike")
    }
    // nf-core's module of this name has them among the options of ext.args.
    def lengths = meta.umi_length ? "--soloCBstart 1 --soloCBlen ${meta.barcode_length} --soloUMIstart ${meta.barcode_length + 1} --soloUMIlen ${meta.umi_length}" : ''
    def annotation = star_ignore_sjdbgtf ? '' : "--sjdbGTFfile ${gtf}"
    def unpack = opt_whitelist ? "${opt_whitelist.name.endsWith('.gz') ? 'gzip -cd' : 'cat'} ${opt_whitelist} | tr -d '\\r' > whitelist.txt" : ''
    """
    ${unpack}
    STAR --genomeDir ${index} --runThreadN ${task.cpus} --outFileNamePrefix '${prefix}.' ${annotation} \\
        --readFilesIn ${quoted(lanes_2.join(','))} ${quoted(lanes_1.join(','))} ${zipped[0] ? "--readFilesCommand 'gzip -cd'" : ''} \\
        --soloType ${solotype} --soloCBwhitelist ${opt_whitelist ? 'whitelist.txt' : 'None'} ${lengths} ${args}
    find '${prefix}.Solo.out' \\( -name '*.tsv' -o -name '*.mtx' \\) -exec gzip {} +
    rm -f whitelist.txt
    """

    stub:
    def args = task.ext.args ?: ''
    def prefix = task.ext.prefix ?: "${meta.id}"
    def feature = (args =~ /--soloFeatures (\S+)/).collect { _all, name -> name }.find() ?: 'Gene'
    """
    mkdir -p '${prefix}.Solo.out/${feature}/raw'
    touch '${prefix}.Solo.out/${feature}/raw'/{matrix.mtx.gz,features.tsv.gz,barcodes.tsv.gz} '${prefix}.Solo.out/${feature}/Summary.csv' \\
        '${prefix}'.Log.{final,progress}.out '${prefix}.Log.out'
    """
}
