//
// Prepared cells -> clusters and their score: in one task; of large samples with a GPU in three, one of which holds it while it trains
//

include { CICL         } from '../../../modules/local/cicl'
include { CICL_INIT    } from '../../../modules/local/cicl/init'
include { CICL_FIT     } from '../../../modules/local/cicl/fit'
include { CICL_CLUSTER } from '../../../modules/local/cicl/cluster'

workflow CLUSTER {
    take:
    ch_prepared // channel: [ val(meta), path(h5ad) ]; meta.n_clusters and label_col where given, meta.n_cells where known
    use_gpu // boolean: is there a GPU?
    gpu_min_cells // integer: number of cells from which on a sample is trained on it

    main:
    ch_samples = ch_prepared.branch { meta, _prepared ->
        gpu: use_gpu && (meta.n_cells == null || meta.n_cells >= gpu_min_cells)
        cpu: true
    }
    CICL(ch_samples.cpu.map { meta, prepared -> [meta, prepared, meta.n_clusters ?: '', meta.label_col ?: ''] })

    CICL_INIT(ch_samples.gpu.map { meta, prepared -> [meta, prepared, meta.n_clusters ?: ''] })
    CICL_FIT(ch_samples.gpu.join(CICL_INIT.out.init).map { meta, prepared, init -> [meta, prepared, init, meta.n_clusters ?: ''] })
    CICL_CLUSTER(ch_samples.gpu.join(CICL_FIT.out.fit).map { meta, prepared, fit -> [meta, prepared, fit, meta.label_col ?: ''] })

    h5ad = CICL.out.h5ad.mix(CICL_CLUSTER.out.h5ad)
    metrics = CICL.out.metrics.mix(CICL_CLUSTER.out.metrics)

    emit:
    h5ad // channel: [ val(meta), path(h5ad) ]
    metrics // channel: [ val(meta), path(json) ]
}
