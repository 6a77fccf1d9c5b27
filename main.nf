#!/usr/bin/env nextflow
//
// CICL for Nextflow: clusters of single cells by cluster-aware iterative contrastive learning
//

include { CICL_PIPELINE } from './workflows/cicl'
include { BENCHMARK     } from './subworkflows/local/benchmark'
include { PIPELINE_INITIALISATION ; PIPELINE_COMPLETION ; checkAndRecord ; filesOf ; help ; parametersOf ; versionText } from './subworkflows/local/utils_cicl_pipeline'

workflow {
    main:
    def parameters = parametersOf(params)
    if (parameters.help) {
        print(help(parameters))
    }
    else if (parameters.version) {
        println(versionText())
    }
    else if (parameters.benchmark) {
        checkAndRecord(parameters)
        BENCHMARK(
            file(parameters.benchmark, type: 'dir', glob: false, checkIfExists: true),
            parameters.benchmark_programs ? file(parameters.benchmark_programs, glob: false, checkIfExists: true) : [],
        )
        PIPELINE_COMPLETION("${parameters.outdir}/report.html")
    }
    else {
        PIPELINE_INITIALISATION(parameters)
        CICL_PIPELINE(PIPELINE_INITIALISATION.out.samples, filesOf(parameters), parameters)
        PIPELINE_COMPLETION("${parameters.outdir}/report/cicl_report.html")
    }
}
