//
// What surrounds the analysis: checks of the parameters, the samples, the record of the run and its last words
//

include { DEMO_DATA                                                            } from '../../../modules/local/demo_data'
include { parameterErrors ; parameterHelp ; schemaParameters ; typedParameters } from '../utils_schema'
include { readSamplesheet ; samplesheetColumns                                 } from '../utils_samplesheet'
include { scrnaseqSamples                                                      } from '../utils_scrnaseq'
include { imageErrors                                                          } from '../utils_images'
include { pipelineTitle ; usedParameters                                       } from '../utils_provenance'

workflow PIPELINE_INITIALISATION {
    take:
    parameters // params of the run

    main:
    checkAndRecord(parameters)

    if (parameters.input || parameters.scrnaseq_results) {
        samples = channel.fromList(samplesOf(parameters))
    }
    else {
        DEMO_DATA()
        samples = DEMO_DATA.out.samplesheet.flatMap { sheet -> readSamplesheet(sheet, parameters, sheetColumns()) }
    }

    emit:
    samples // channel: [ val(meta), path(input) ], or [ val(meta), [ [ path(fastq_1), path(fastq_2) ], ... ] ] of reads
}

// The parameters of the run, each of the type that the schema gives it; the workflows read these, never `params`
def parametersOf(given) {
    return typedParameters(given, pipelineSchema())
}

def pipelineSchema() {
    return schemaParameters(file("${projectDir}/nextflow_schema.json"))
}

def sheetColumns() {
    return samplesheetColumns(file("${projectDir}/assets/schema_input.json"))
}

// What processes need besides the samples, for the alignment and the annotation: files where they are given, empty lists where not
def filesOf(parameters) {
    return ['fasta', 'gtf', 'star_index', 'whitelist', 'celltypist_model', 'marker_list', 'reference_model']
        .collectEntries { name -> [name, parameters[name] ? file(parameters[name], glob: false) : []] } + parameters.subMap(['protocol', 'aligner'])
}

// Sentences about references that are missing, given that there are reads to align
def referenceErrors(parameters) {
    def files = ['fasta', 'gtf', 'star_index', 'whitelist']
        .findAll { name -> parameters[name] && !file(parameters[name], glob: false).exists() }
        .collect { name -> "Parameter --${name}: '${parameters[name]}' does not exist; correct the path." }
    def missing = parameters.star_index && parameters.aligner == 'star'
        ? []
        : ['fasta', 'gtf'].findAll { name -> !parameters[name] }
    return files + (missing
        ? ["The samplesheet has reads (fastq_1), so ${missing.collect { name -> "--${name}" }.join(' and ')} ${missing.size() > 1 ? 'are' : 'is'} missing: give the genome (--fasta) and its annotation (--gtf)${parameters.aligner == 'star' ? ', or --star_index' : ''}."]
        : [])
}

workflow PIPELINE_COMPLETION {
    take:
    report // path of the run's report

    main:
    // Not in onError, which an abort can call more than once
    workflow.onComplete {
        lastWords(report)
    }
}

// Where the report is, or what went wrong: the engine says so in one line, which Nextflow prints amid the script and its surroundings
def lastWords(report) {
    def sentences = "${workflow.errorReport}".readLines().collect { line -> line.trim() }.findAll { line -> line.startsWith('ERROR: ') }
    if (workflow.success) {
        // After the table of the tasks, which is drawn until the end
        log.info("The report of the run: ${report}")
        // What was found, a sentence for each sample: the report step writes it beside the report
        def summary = file("${report}".replace('cicl_report.html', 'cicl_summary.txt'), glob: false)
        if (summary.name == 'cicl_summary.txt' && summary.exists() && summary.text.trim()) {
            println(summary.text.trim())
        }
    }
    else if (sentences) {
        println(sentences.last())
    }
}

// Before anything is started: the parameters are right, and are kept with the results
def checkAndRecord(parameters) {
    if (parameters.validate_params) {
        checkParameters(parameters)
    }
    writeParameters(parameters)
    if (parameters.checkpoint_dir && !"${parameters.checkpoint_dir}".contains('://')) {
        // Containers can mount only what is there
        file(parameters.checkpoint_dir, glob: false).mkdirs()
    }
}

// The samples of --input or --scrnaseq_results; where these are wrong the run stops with status 2, as the engine does on bad input
def samplesOf(parameters) {
    try {
        def samples = parameters.input
            ? readSamplesheet(file(parameters.input, glob: false), parameters, sheetColumns())
            : scrnaseqSamples(
                file(parameters.scrnaseq_results, type: 'dir', glob: false),
                parameters.scrnaseq_aligner,
                parameters.scrnaseq_matrix,
                ['n_clusters', 'label_col', 'batch_col', 'counts_layer', 'cells_in'].collectEntries { name -> [name, parameters[name]?.toString()] },
                sheetColumns(),
            )
        def errors = samples.any { _meta, files -> files instanceof List } ? referenceErrors(parameters) : []
        if (errors) {
            error(errors.collect { text -> "ERROR: ${text}" }.join('\n'))
        }
        return parameters.join ? joined(samples) : integrated(samples, parameters)
    }
    catch (Exception e) {
        exit(2, "nothing was started:\n${e.cause?.message ?: e.message}")
    }
}

// All samples in one group
def joined(samples) {
    if (samples.size() < 2) {
        error("ERROR: --join clusters samples together, but there is one only, '${samples[0][0].id}'; leave --join out.")
    }
    return samples.collect { meta, files -> [meta + [group: 'joined'], files] }
}

// Batches of a column can be integrated where it is named
def integrated(samples, parameters) {
    if (parameters.integrate && samples.every { meta, _files -> !meta.batch_col && !meta.group }) {
        error("ERROR: --integrate needs the batch of each cell: name its column of obs with --batch_col or in the samplesheet; to cluster samples together, give --join or the column group.")
    }
    return samples.collect { meta, files -> [parameters.integrate && meta.batch_col ? meta + [integrate: true] : meta, files] }
}

// Stops the run, before anything is started, where parameters are unknown, wrong or missing
def checkParameters(parameters) {
    // A site's own configuration may set parameters for other pipelines; what was typed is meant for this one
    def schema_parameters = pipelineSchema()
    def of_site = parameters.custom_config_base
        ? parameters.keySet().findAll { name -> !(name in schema_parameters) && !workflow.commandLine.contains("--${name}") }
        : []
    def errors = parameterErrors(parameters.findAll { name, _value -> !(name in of_site) }, schema_parameters)
    if (parameters.input && parameters.scrnaseq_results) {
        errors += ["Parameters --input and --scrnaseq_results are two ways to name the samples: give one of them."]
    }
    if (!parameters.input && !parameters.scrnaseq_results && !parameters.demo && !parameters.benchmark) {
        errors += ["Parameter --input is missing: give a samplesheet with the columns sample and input, or try the pipeline with -profile test."]
    }
    errors += missingFiles(parameters) + imageErrors(parameters)
    if (errors) {
        exit(2, (['nothing was started:'] + errors.collect { text -> "ERROR: ${text}" }).join('\n'))
    }
}

// Sentences about files for the annotation that are not there
def missingFiles(parameters) {
    return ['celltypist_model', 'marker_list', 'reference_model']
        .findAll { name -> parameters[name] && !"${parameters[name]}".contains('://') && !file(parameters[name], glob: false).isFile() }
        .collect { name -> "Parameter --${name}: there is no file '${parameters[name]}'; correct the path, which starts in the folder of the launch." }
}

def writeParameters(parameters) {
    def folder = file("${parameters.outdir}/pipeline_info")
    folder.mkdirs()
    folder.resolve("params_${parameters.trace_report_suffix}.json").text =
        groovy.json.JsonOutput.prettyPrint(groovy.json.JsonOutput.toJson(usedParameters(parameters)))
}

def versionText() {
    return "${pipelineTitle()} ${workflow.manifest.version}"
}

def help(parameters) {
    def schema_parameters = pipelineSchema()
    def defaults = parameters.findAll { name, _value -> !(name in ['help', 'trace_report_suffix']) }
    if (parameters.help !instanceof Boolean) {
        return parameterHelp(schema_parameters, defaults, "${parameters.help}".replaceFirst(/^--/, ''))
    }
    return """\
        ${versionText()}
        ${workflow.manifest.description}

        Usage
          nextflow run . --input samplesheet.csv --outdir results [-profile docker]
          nextflow run . -profile test --outdir results/test    a try-out, no download

        """.stripIndent() + parameterHelp(schema_parameters, defaults) + """
        '--help NAME' explains one parameter in full. Options with one dash, such as
        -profile and -resume, are Nextflow's own.
        """.stripIndent()
}
