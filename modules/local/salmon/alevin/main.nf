process SALMON_ALEVIN {
    tag "${meta.id}"
    label 'process_high'
    // salmon holds the index in memory; seq.bin is the sequence that it is of, at 2 bits a base.
    memory { (4.GB + 32 * index.toRealPath().resolve('seq.bin').size().B) * task.attempt }

    conda "${moduleDir}/../environment.yml"
    container 'biocontainers/simpleaf:0.19.5--ha6fb395_0'

    input:
    tuple val(meta), path(fastq_1, stageAs: 'read_1/?/*'), path(fastq_2, stageAs: 'read_2/?/*')
    path(index)
    path(genes_of_transcripts)
    path(whitelist, stageAs: 'whitelist/*')
    val(chemistry)

    output:
    tuple val(meta), path("${prefix}.alevin"), emit: counts
    tuple val("${task.process}"), val('salmon'), eval("salmon --version 2> /dev/null | sed 's/.* //' | grep . || echo none"), topic: versions, emit: versions_salmon
    tuple val("${task.process}"), val('alevin-fry'), eval("alevin-fry --version 2> /dev/null | sed 's/.* //' | grep . || echo none"), topic: versions, emit: versions_alevin_fry

    script:
    def args = task.ext.args ?: ''
    def args2 = task.ext.args2 ?: ''
    prefix = task.ext.prefix ?: "${meta.id}"
    def lanes = [fastq_1, fastq_2].collect { files -> (files instanceof List ? files : [files]).collect { path -> "${path}" }.join(' ') }
    // alevin-fry wants two threads at least.
    def threads = Math.max(2, task.cpus)
    def unpack = whitelist ? "${whitelist.name.endsWith('.gz') ? 'gzip -cd' : 'cat'} ${whitelist} | tr -d '\\r' > whitelist.txt" : ''
    def barcodes = whitelist ? '--unfiltered-pl whitelist.txt --min-reads 1' : '--knee-distance'
    """
    ${unpack}
    salmon alevin --libType ISR --mates1 ${lanes[0]} --mates2 ${lanes[1]} --${chemistry} --index ${index} \\
        --tgMap <(cut -f 1,2 ${genes_of_transcripts}) --rad --threads ${task.cpus} --output mapped ${args}
    alevin-fry generate-permit-list --input mapped --expected-ori fw --output-dir quantified ${barcodes}
    alevin-fry collate --input-dir quantified --rad-dir mapped --threads ${threads}
    alevin-fry quant --input-dir quantified --output-dir quantified --tg-map ${genes_of_transcripts} \\
        --resolution cr-like --use-mtx --threads ${threads} ${args2}
    mv quantified/alevin '${prefix}.alevin'
    gzip '${prefix}.alevin/quants_mat.mtx'
    rm -rf mapped quantified
    rm -f whitelist.txt
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    mkdir '${prefix}.alevin'
    touch '${prefix}.alevin'/{quants_mat.mtx.gz,quants_mat_rows.txt,quants_mat_cols.txt}
    """
}
