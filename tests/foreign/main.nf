// A pipeline that knows nothing of this one but the copied module: it embeds merged samples by CICL, and clusters a
// sample that somebody prepared.
include { CICL_INTEGRATE } from './modules/local/cicl/integrate/main'
include { CICL           } from './modules/local/cicl/main'

process COLLECT {
    publishDir 'results', mode: 'copy'

    input:
    path files

    output:
    path files

    script:
    'true'
}

workflow {
    CICL_INTEGRATE(channel.of([[id: 'merged', integration: 'cicl'], file(params.merged)]), 'batch')
    CICL(channel.of([[id: 'alone'], file(params.prepared)]))
    channel.topic('versions')
        .map { process, tool, version -> "${process.tokenize(':').last()} ${tool} ${version}" }
        .unique()
        .collectFile(name: 'versions.txt', newLine: true, storeDir: 'results')
    COLLECT(
        CICL_INTEGRATE.out.h5ad.map { _meta, h5ad -> h5ad }
            .mix(CICL_INTEGRATE.out.obsm, CICL_INTEGRATE.out.obsm_pkl, CICL_INTEGRATE.out.obs, CICL_INTEGRATE.out.multiqc_files)
            .mix(CICL.out.clusters.map { _meta, csv -> csv })
            .collect()
    )
}
