//
// Prints the samples of --sheet, or what is wrong with it
//

include { readSamplesheet ; samplesheetColumns } from '../../subworkflows/local/utils_samplesheet'

workflow {
    println('SAMPLES ' + groovy.json.JsonOutput.toJson(readSamplesheet(file(params.sheet), [:], samplesheetColumns(file("${projectDir}/../../assets/schema_input.json"))).collect { meta, _path -> meta.id }))
}
