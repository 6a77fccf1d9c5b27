//
// The whole way of a sample: (reads ->) counts -> prepared cells -> clusters -> figures -> the run's report
//

include { COUNT                                                 } from '../subworkflows/local/count'
include { CHECKSUMS                                             } from '../modules/local/checksums'
include { JOIN                                                  } from '../modules/local/join'
include { PREPARE                                               } from '../modules/local/prepare'
include { CICL                                                  } from '../modules/local/cicl'
include { MARKERS                                               } from '../modules/local/markers'
include { ANNOTATE                                              } from '../modules/local/annotate'
include { PLOT                                                  } from '../modules/local/plot'
include { EXPORT                                                } from '../modules/local/export'
include { REPORT                                                } from '../modules/local/report'
include { MULTIQC                                               } from '../modules/local/multiqc'
include { methodsDescription ; parametersSection ; versionsYaml } from '../subworkflows/local/utils_record'

workflow CICL_PIPELINE {
    take:
    ch_samples // channel: [ val(meta), path(input) ]; meta.id, and n_clusters, label_col, batch_col, counts_layer where given;
    //            or [ val(meta), [ [ path(fastq_1), path(fastq_2) ], ... ] ], a pair for each lane
    references // map: what aligning reads needs, see COUNT

    main:
    // Reads and unfiltered matrices become counts of cells
    ch_input = ch_samples.branch { meta, files ->
        reads: files instanceof List
        raw: meta.cell_calling == 'true'
        counts: true
    }
    // What PREPARE does not see itself is summed up here, while all else goes on
    CHECKSUMS(
        ch_input.reads
            .map { meta, lanes -> [meta, lanes.flatten()] }
            .mix(ch_input.raw, ch_input.counts.filter { meta, _counts -> meta.group })
    )
    COUNT(ch_input.reads.map { meta, lanes -> [meta] + lanes.transpose() }, ch_input.raw, references)
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

    // Training, clusters and their score; on a GPU where the process has one
    CICL(PREPARE.out.h5ad)

    // Marker genes of the clusters, and the names of their cell types
    ch_markers = CICL.out.h5ad.map { meta, _h5ad -> [meta, []] }
    ch_annotation = CICL.out.h5ad.map { meta, _h5ad -> [meta, []] }
    if (!params.skip_markers) {
        MARKERS(CICL.out.h5ad)
        ch_markers = MARKERS.out.json
    }
    if (params.celltypist_model || params.marker_list || params.reference_model) {
        ANNOTATE(
            CICL.out.h5ad,
            params.celltypist_model ? file(params.celltypist_model, checkIfExists: true) : [],
            params.marker_list ? file(params.marker_list, checkIfExists: true) : [],
            params.reference_model ? file(params.reference_model, checkIfExists: true) : [],
        )
        ch_annotation = ANNOTATE.out.json
    }

    // UMAP and t-SNE, figures, the final h5ad
    PLOT(CICL.out.h5ad.join(CICL.out.metrics).join(ch_markers).join(ch_annotation))

    // Files for other tools
    if (params.export) {
        EXPORT(PLOT.out.h5ad)
    }

    // One report for the run; where every sample has failed there is nothing to report
    REPORT(
        PLOT.out.h5ad.map { _meta, h5ad -> h5ad }.toSortedList { a, b -> a.name <=> b.name }.filter { files -> files },
        CICL.out.metrics.map { _meta, metrics -> metrics }.toSortedList { a, b -> a.name <=> b.name }.filter { files -> files },
    )

    // collectFile sorts in a database. Where a task has failed the end of the run interrupts that, and then tells of it instead of the
    // task: so what is still to be collected by then is not sorted, or waits for figures.

    // What the results were made of
    PREPARE.out.checksums
        .mix(CHECKSUMS.out.checksums)
        .map { _meta, table -> table }
        .toSortedList { a, b -> a.name <=> b.name }
        .flatMap { tables -> tables }
        .collectFile(name: 'input_checksums.tsv', storeDir: "${params.outdir}/pipeline_info", keepHeader: true, sort: false)

    // Versions of every process, to the run's folder and to MultiQC
    ch_versions = channel.topic('versions')
        .unique()
        .toList()
        .map { versions -> versionsYaml(versions) }
    ch_versions.collectFile(name: 'software_versions.yml', storeDir: "${params.outdir}/pipeline_info", sort: false)

    if (!params.skip_multiqc) {
        ch_figures = PLOT.out.multiqc.transpose().map { _meta, json -> json }.toList().filter { files -> files }
        ch_record = ch_versions
            .combine(ch_figures.map { _files -> true })
            .map { versions, _there -> ['software_mqc_versions.yml', versions] }
            .mix(
                channel.of(
                    ['methods_description_mqc.yaml', methodsDescription()],
                    ['parameters_mqc.yaml', parametersSection()],
                )
            )
            .collectFile { name, text -> [name, text] }
            .toList()
        MULTIQC(
            ch_figures.map { files -> [files] }
                .combine(ch_record.map { files -> [files] })
                .map { figures, record -> (figures + record).sort { a, b -> a.name <=> b.name } }
                .first(),
            file("${projectDir}/assets/multiqc_config.yml", checkIfExists: true),
            params.multiqc_config ? file(params.multiqc_config, checkIfExists: true) : [],
        )
    }

    h5ad = PLOT.out.h5ad
    report = REPORT.out.html

    emit:
    h5ad // channel: [ val(meta), path(h5ad) ]
    report // channel: path(html)
}

// What JOIN takes: settings of the group, which are those of its samples, and the files and names of these
def groupInput(group, samples) {
    def settings = samples[0][0].subMap(['n_clusters', 'label_col', 'counts_layer'])
    return [settings + [id: group, batch_col: 'sample', integrate: true], samples.collect { _meta, counts -> counts }, samples.collect { meta, _counts -> meta.id }]
}
