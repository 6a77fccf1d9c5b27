#!/usr/bin/env nextflow
//
// CICL for Nextflow: clusters of single cells by cluster-aware iterative contrastive learning
//

include { CICL_PIPELINE                                                      } from './workflows/cicl'
include { PIPELINE_INITIALISATION ; PIPELINE_COMPLETION ; help ; versionText } from './subworkflows/local/utils_cicl_pipeline'

workflow {
    main:
    if (params.help) {
        print(help(params))
    }
    else if (params.version) {
        println(versionText())
    }
    else {
        PIPELINE_INITIALISATION(params)
        CICL_PIPELINE(PIPELINE_INITIALISATION.out.samples)
        PIPELINE_COMPLETION(params.outdir)
    }
}
