//
// The way of a sample: (reads ->) counts -> prepared cells -> clusters -> marker genes and cell types -> figures and reports
//

include { COUNT     } from '../subworkflows/local/count'
include { CLUSTER   } from '../subworkflows/local/cluster'
include { REPORTS   } from '../subworkflows/local/reports'
include { CHECKSUMS } from '../modules/local/checksums'
include { JOIN      } from '../modules/local/join'
include { PREPARE   } from '../modules/local/prepare'
include { MARKERS   } from '../modules/local/markers'
include { ANNOTATE  } from '../modules/local/annotate'

workflow CICL_PIPELINE {
    take:
    ch_samples // channel: [ val(meta), path(input) ]; meta.id, and n_clusters, label_col, batch_col, counts_layer where given;
    //            or [ val(meta), [ [ path(fastq_1), path(fastq_2) ], ... ] ] of reads, a pair for each lane
    files // map: what aligning reads needs, see COUNT, and what names cell types
    parameters // map: the parameters of the run

    main:
    // Reads and unfiltered matrices become counts of cells
    ch_input = ch_samples.branch { meta, input ->
        reads: input instanceof List
        raw: meta.cell_calling
        counts: true
    }
    COUNT(ch_input.reads.map { meta, lanes -> [meta] + lanes.transpose() }, ch_input.raw, files)
    ch_counts = ch_input.counts.mix(COUNT.out.counts).branch { meta, _counts ->
        of_groups: meta.group
        single: true
    }

    // Samples of a group are clustered together; in its cells' column `sample` their batch is kept
    JOIN(
        ch_counts.of_groups
            .map { meta, counts -> [meta.group, [meta, counts]] }
            .groupTuple()
            .map { group, samples -> groupInput(group, samples.toSorted { a, b -> a[0].id <=> b[0].id }) }
    )

    // Counts of the cells and genes that are kept, and the z-scores that the model sees
    PREPARE(ch_counts.single.mix(JOIN.out.h5ad))

    // Training, clusters and their score
    CLUSTER(
        PREPARE.out.h5ad
            .join(PREPARE.out.n_cells)
            .map { meta, prepared, n_cells -> [n_cells ? meta + [n_cells: n_cells as int] : meta, prepared] },
        "${parameters.use_gpu}" == 'true',
        parameters.gpu_min_cells as int,
    )

    // Marker genes of the clusters, and the names of their cell types
    ch_markers = CLUSTER.out.h5ad.map { meta, _h5ad -> [meta, []] }
    ch_annotation = CLUSTER.out.h5ad.map { meta, _h5ad -> [meta, []] }
    if (!parameters.skip_markers) {
        MARKERS(CLUSTER.out.h5ad)
        ch_markers = MARKERS.out.json
    }
    if (files.celltypist_model || files.marker_list || files.reference_model) {
        ANNOTATE(CLUSTER.out.h5ad, files.celltypist_model, files.marker_list, files.reference_model)
        ch_annotation = ANNOTATE.out.json
    }

    // PREPARE sums up what it reads itself; all else, while the rest goes on
    CHECKSUMS(
        ch_input.reads
            .map { meta, lanes -> [meta, lanes.flatten()] }
            .mix(ch_input.raw, ch_input.counts.filter { meta, _counts -> meta.group })
    )
    REPORTS(
        CLUSTER.out.h5ad.join(CLUSTER.out.metrics),
        ch_markers,
        ch_annotation,
        PREPARE.out.checksums.mix(CHECKSUMS.out.checksums).map { _meta, table -> table },
        parameters,
    )

    h5ad = REPORTS.out.h5ad
    report = REPORTS.out.report

    emit:
    h5ad // channel: [ val(meta), path(h5ad) ]
    report // channel: path(html)
}

// What JOIN takes: settings of the group, which are those of its samples, and the files and names of these
def groupInput(group, samples) {
    def settings = samples[0][0].subMap(['n_clusters', 'label_col', 'counts_layer', 'cells_in'])
    return [settings + [id: group, batch_col: 'sample', integrate: true], samples.collect { _meta, counts -> counts }, samples.collect { meta, _counts -> meta.id }]
}
