//
// What is left of a run for its readers: figures and final h5ad of each sample, files for other tools, the run's report, the MultiQC
// page, and the record of inputs, versions and parameters
//

include { PLOT                                                  } from '../../../modules/local/plot'
include { EXPORT                                                } from '../../../modules/local/export'
include { REPORT                                                } from '../../../modules/local/report'
include { MULTIQC                                               } from '../../../modules/local/multiqc'
include { methodsDescription ; parametersSection ; versionsYaml } from '../utils_provenance'

workflow REPORTS {
    take:
    ch_clustered // channel: [ val(meta), path(h5ad), path(metrics) ]
    ch_markers // channel: [ val(meta), path(json) ], or an empty list for the path
    ch_annotation // channel: [ val(meta), path(json) ], or an empty list for the path
    ch_checksums // channel: path(tsv), of what the results were made of
    parameters // map: the parameters of the run

    main:
    // UMAP, figures, the final h5ad; files for other tools
    PLOT(ch_clustered.join(ch_markers).join(ch_annotation))
    if (parameters.export) {
        EXPORT(PLOT.out.h5ad)
    }

    // One report for the run; where every sample has failed there is nothing to report
    REPORT(
        PLOT.out.h5ad.map { _meta, h5ad -> h5ad }.toSortedList { a, b -> a.name <=> b.name }.filter { files -> files },
        ch_clustered.map { _meta, _h5ad, metrics -> metrics }.toSortedList { a, b -> a.name <=> b.name }.filter { files -> files },
    )

    // collectFile sorts in a database. Where a task has failed the end of the run interrupts that, and then tells of it instead of the
    // task: so what is still to be collected by then is not sorted, or waits for figures.
    ch_checksums
        .toSortedList { a, b -> a.name <=> b.name }
        .flatMap { tables -> tables }
        .collectFile(name: 'input_checksums.tsv', storeDir: "${parameters.outdir}/pipeline_info", keepHeader: true, sort: false)

    // Versions of every process, to the run's folder and to MultiQC
    ch_versions = channel.topic('versions')
        .unique()
        .toList()
        .map { versions -> versionsYaml(versions) }
    ch_versions.collectFile(name: 'software_versions.yml', storeDir: "${parameters.outdir}/pipeline_info", sort: false)

    if (!parameters.skip_multiqc) {
        ch_figures = PLOT.out.multiqc.transpose().map { _meta, json -> json }.toList().filter { files -> files }
        ch_record = ch_versions
            .combine(ch_figures.map { _files -> true })
            .map { versions, _there -> ['software_mqc_versions.yml', versions] }
            .mix(
                channel.of(
                    ['methods_description_mqc.yaml', methodsDescription(parameters)],
                    ['parameters_mqc.yaml', parametersSection(parameters)],
                )
            )
            .collectFile { name, text -> [name, text] }
            .toList()
        // The last file of settings wins
        configs = [file("${projectDir}/assets/multiqc_config.yml", checkIfExists: true)] + (parameters.multiqc_config ? [file(parameters.multiqc_config, checkIfExists: true)] : [])
        MULTIQC(
            ch_figures.map { files -> [files] }
                .combine(ch_record.map { files -> [files] })
                .map { figures, record -> [[id: 'run'], (figures + record).sort { a, b -> a.name <=> b.name }, configs, [], [], []] }
                .first()
        )
    }

    h5ad = PLOT.out.h5ad
    report = REPORT.out.html

    emit:
    h5ad // channel: [ val(meta), path(h5ad) ]
    report // channel: path(html)
}
