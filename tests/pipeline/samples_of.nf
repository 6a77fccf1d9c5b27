//
// Prints the samples of --sheet, or what is wrong with it
//

include { readSamplesheet } from '../../subworkflows/local/utils_samplesheet'

workflow {
    println('SAMPLES ' + groovy.json.JsonOutput.toJson(readSamplesheet(file(params.sheet), [:]).collect { meta, _path -> meta.id }))
}
