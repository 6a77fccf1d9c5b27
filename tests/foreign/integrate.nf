// The channels that a method of integration meets in nf-core/scdownstream: [ meta, h5ad ] in, and out the h5ad with X_emb of each method,
// its columns of obs and its tables of obsm, whose file names are their keys
include { CICL_INTEGRATE } from './modules/local/cicl/integrate/main'

workflow INTEGRATE {
    take:
    ch_h5ad // channel: [ meta, h5ad ]
    is_extension // boolean: new samples for an integrated file
    _feature_selection // string
    _n_features // integer
    _excluded_genes // path
    _normalization_method // string
    methods // list of string
    _scvi_model // path
    _scanvi_model // path
    _scvi_categorical_covariates // list of string
    _scvi_continuous_covariates // list of string
    _scimilarity_model // path
    _symphony_reference // path
    _expimap_gmt // path
    _condition_col // string

    main:
    ch_obs = channel.empty()
    ch_var = channel.empty()
    ch_obsm = channel.empty()
    ch_integrations = channel.empty()
    ch_multiqc_files = channel.empty()
    ch_h5ad_hvg = is_extension ? ch_h5ad : ch_h5ad.map { meta, h5ad -> [meta, h5ad] }

    // As docs/integration.md says; both formats, for revisions that read one of them
    if (methods.contains('cicl')) {
        if (is_extension) {
            error("cicl cannot extend an integrated file: integrate all samples together")
        }
        CICL_INTEGRATE(
            ch_h5ad_hvg.map { meta, h5ad -> [meta + [integration: 'cicl'], h5ad] },
            'batch',
        )
        ch_integrations = ch_integrations.mix(CICL_INTEGRATE.out.h5ad)
        ch_obs = ch_obs.mix(CICL_INTEGRATE.out.obs, CICL_INTEGRATE.out.obs_pkl)
        ch_obsm = ch_obsm.mix(CICL_INTEGRATE.out.obsm, CICL_INTEGRATE.out.obsm_pkl)
        ch_multiqc_files = ch_multiqc_files.mix(CICL_INTEGRATE.out.multiqc_files)
    }

    emit:
    integrations = ch_integrations // channel: [ meta, h5ad ]
    obs = ch_obs // channel: path
    var = ch_var // channel: path
    obsm = ch_obsm // channel: path
    multiqc_files = ch_multiqc_files // channel: path
}
