#!/usr/bin/env nextflow
//
// CICL for Nextflow: clusters of single cells by cluster-aware iterative contrastive learning
//

include { CICL_PIPELINE                                                                           } from './workflows/cicl'
include { BENCHMARK                                                                               } from './subworkflows/local/benchmark'
include { PIPELINE_INITIALISATION ; PIPELINE_COMPLETION ; checkAndRecord ; help ; referencesOf ; versionText } from './subworkflows/local/utils_cicl_pipeline'

workflow {
    main:
    if (params.help) {
        print(help(params))
    }
    else if (params.version) {
        println(versionText())
    }
    else if (params.benchmark) {
        checkAndRecord(params)
        BENCHMARK(file(params.benchmark, type: 'dir', glob: false, checkIfExists: true))
        PIPELINE_COMPLETION("${params.outdir}/report.html")
    }
    else {
        PIPELINE_INITIALISATION(params)
        CICL_PIPELINE(PIPELINE_INITIALISATION.out.samples, referencesOf(params))
        PIPELINE_COMPLETION("${params.outdir}/report/cicl_report.html")
    }
}
