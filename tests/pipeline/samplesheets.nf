//
// Reads every samplesheet in --folder and prints what it holds, or what is wrong with it, as one line of JSON
//

include { readSamplesheet ; samplesheetColumns } from '../../subworkflows/local/utils_samplesheet'

def outcome(sheet) {
    try {
        return readSamplesheet(sheet, [n_clusters: 'auto', label_col: 'cell_type'], samplesheetColumns(file("${projectDir}/../../assets/schema_input.json")))
            .collect { meta, files -> meta + [input: files instanceof List ? files.collect { pair -> pair*.name } : files.toString()] }
    }
    catch (Exception e) {
        return e.cause?.message ?: e.message
    }
}

workflow {
    def sheets = file("${params.folder}/*.{csv,tsv,yml,yaml,json}", type: 'any', checkIfExists: true) + [file("${params.folder}/missing.csv")]
    println('OUTCOMES ' + groovy.json.JsonOutput.toJson(sheets.collectEntries { sheet -> [sheet.name, outcome(sheet)] }))
}
