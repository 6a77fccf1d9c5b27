// A pipeline that knows nothing of this one but the copied modules. Its subworkflow INTEGRATE has the channels of nf-core/scdownstream's,
// which calls it for all cells, and once more for its subsets; ADATA_EXTEND puts the tables of the methods into the h5ad, as its
// namesake there does. CICL clusters a sample that somebody prepared.
include { CICL                       } from './modules/local/cicl/main'
include { INTEGRATE                  } from './integrate'
include { INTEGRATE as SUB_INTEGRATE } from './integrate'

process ADATA_EXTEND {
    publishDir "results/${tables[0].name.tokenize('.').last()}", mode: 'copy'

    input:
    path base
    path obs
    path tables

    output:
    path 'final.h5ad'

    script:
    """
    extend.py ${base} --obs ${obs} --obsm ${tables}
    """
}

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
    base = file(params.merged)
    INTEGRATE(channel.of([[id: 'merged'], base]), false, 'hvgs', 60, [], 'log1p', ['cicl'], [], [], [], [], [], [], [], 'condition')
    SUB_INTEGRATE(
        channel.of(
            [[id: 'one_batch', subset: 'one_batch'], file(params.one_batch)],
            [[id: 'tiny_batch', subset: 'tiny_batch'], file(params.tiny_batch)],
        ),
        false,
        'hvgs',
        60,
        [],
        'log1p',
        ['cicl'],
        [],
        [],
        [],
        [],
        [],
        [],
        [],
        'condition',
    )
    CICL(channel.of([[id: 'alone'], file(params.prepared), '3', '']))
    // Tables of a newer and of an older revision
    ch_obs = INTEGRATE.out.obs.mix(SUB_INTEGRATE.out.obs)
    ch_obsm = INTEGRATE.out.obsm.mix(SUB_INTEGRATE.out.obsm)
    ch_tables = channel.of('parquet', 'pkl')
        .combine(ch_obs.toList().toList())
        .combine(ch_obsm.toList().toList())
        .multiMap { ending, obs, obsm ->
            obs: obs.findAll { path -> path.extension == ending }
            obsm: obsm.findAll { path -> path.extension == ending }
        }
    ADATA_EXTEND(base, ch_tables.obs, ch_tables.obsm)
    channel.topic('versions')
        .map { process, tool, version -> "${process.tokenize(':').last()} ${tool} ${version}" }
        .unique()
        .collectFile(name: 'versions.txt', newLine: true, storeDir: 'results')
    COLLECT(
        INTEGRATE.out.integrations
            .mix(SUB_INTEGRATE.out.integrations)
            .map { _meta, h5ad -> h5ad }
            .mix(ch_obs, ch_obsm, INTEGRATE.out.multiqc_files, SUB_INTEGRATE.out.multiqc_files)
            .mix(CICL.out.clusters.map { _meta, csv -> csv })
            .collect()
    )
}
