include { quoted } from '../../functions'

process SIMPLEAF_QUANT {
    tag "${meta.id}"
    label 'process_high'

    conda "${moduleDir}/environment.yml"
    container "${workflow.containerEngine in ['singularity', 'apptainer'] && !task.ext.singularity_pull_docker_container
        ? 'https://depot.galaxyproject.org/singularity/simpleaf:0.19.5--ha6fb395_0'
        : 'quay.io/biocontainers/simpleaf:0.19.5--ha6fb395_0'}"

    // salmon holds the index in memory; seq.bin is the sequence that it is of, at 2 bits a base. For conf/base.config
    ext input_mb: { (index.toRealPath().resolve('seq.bin').size() / 1e6) as int }

    input:
    tuple val(meta), val(chemistry), path(reads, stageAs: 'reads/?/*')
    tuple val(meta2), path(index)
    tuple val(meta3), path(txp2gene)
    val(resolution)
    tuple val(meta4), path(whitelist, stageAs: 'whitelist/*')
    tuple val(meta5), path(map_dir)

    output:
    tuple val(meta), path("${prefix}"), emit: simpleaf
    tuple val(meta), path("${prefix}/af_quant"), emit: quant
    tuple val("${task.process}"), val('salmon'), eval("salmon --version 2> /dev/null | sed 's/.* //' | grep . || echo none"), topic: versions, emit: versions_salmon
    tuple val("${task.process}"), val('alevin-fry'), eval("alevin-fry --version 2> /dev/null | sed 's/.* //' | grep . || echo none"), topic: versions, emit: versions_alevin_fry

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    def args2 = task.ext.args2 ?: ''
    prefix = task.ext.prefix ?: "${meta.id}"
    if (map_dir || !(chemistry in ['10xv2', '10xv3'])) {
        error("${task.process} maps reads of 10xv2 and 10xv3 only: take nf-core's module of this name, which has the same inputs")
    }
    // Read 1 and read 2 of each lane in turn
    def (mates_1, mates_2) = reads.collate(2).transpose().collect { paths -> paths.collect { path -> quoted(path) }.join(' ') }
    // alevin-fry wants two threads at least.
    def threads = Math.max(2, task.cpus)
    def unpack = whitelist ? "${whitelist.name.endsWith('.gz') ? 'gzip -cd' : 'cat'} ${whitelist} | tr -d '\\r' > whitelist.txt" : ''
    def barcodes = whitelist ? '--unfiltered-pl whitelist.txt --min-reads 1' : '--knee-distance'
    """
    ${unpack}
    mkdir -p '${prefix}'
    salmon alevin --libType ISR --mates1 ${mates_1} --mates2 ${mates_2} --${chemistry == '10xv2' ? 'chromium' : 'chromiumV3'} \\
        --index ${index} --tgMap <(cut -f 1,2 ${txp2gene}) --rad --threads ${task.cpus} --output mapped ${args}
    alevin-fry generate-permit-list --input mapped --expected-ori fw --output-dir '${prefix}/af_quant' ${barcodes}
    alevin-fry collate --input-dir '${prefix}/af_quant' --rad-dir mapped --threads ${threads}
    alevin-fry quant --input-dir '${prefix}/af_quant' --output-dir '${prefix}/af_quant' --tg-map ${txp2gene} \\
        --resolution ${resolution} --use-mtx --threads ${threads} ${args2}
    # What is left are the counts.
    find '${prefix}/af_quant' -maxdepth 1 -type f \\( -name '*.rad' -o -name '*.bin' \\) -delete
    gzip '${prefix}/af_quant/alevin/quants_mat.mtx'
    rm -rf mapped
    rm -f whitelist.txt
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    mkdir -p '${prefix}/af_quant/alevin'
    touch '${prefix}/af_quant/alevin'/{quants_mat.mtx.gz,quants_mat_rows.txt,quants_mat_cols.txt}
    """
}
