//
// Finds the samples in every folder of results in --folder, and prints them, or what is wrong, as one line of JSON
//

include { samplesheetColumns } from '../../subworkflows/local/utils_samplesheet'
include { scrnaseqSamples    } from '../../subworkflows/local/utils_scrnaseq'

def outcome(folder, aligner, matrix) {
    try {
        return scrnaseqSamples(folder, aligner, matrix, [n_clusters: 'auto', label_col: null], samplesheetColumns(file("${projectDir}/../../assets/schema_input.json")))
            .collectEntries { meta, path -> [meta.id, [folder.relativize(path).toString(), meta.cell_calling ?: false]] }
    }
    catch (Exception e) {
        return e.cause?.message ?: e.message
    }
}

workflow {
    def folders = file("${params.folder}/*", type: 'dir')
    def outcomes = folders.collectEntries { folder -> [folder.name, outcome(folder, null, 'auto')] }
    def two = file("${params.folder}/two_aligners", type: 'dir')
    println('OUTCOMES ' + groovy.json.JsonOutput.toJson(outcomes + [
        chosen: outcome(two, 'star', 'auto'),
        raw: outcome(two, 'star', 'raw'),
        wrong: outcome(two, 'kallisto', 'auto'),
        pools_unseen_filtered: outcome(file("${params.folder}/pools_unseen", type: 'dir'), null, 'filtered'),
        no_filtered: outcome(file("${params.folder}/simpleaf_now", type: 'dir'), null, 'filtered'),
    ]))
}
