//
// The record of the run: parameters, versions and the methods' description, for its folder and the MultiQC page
//

def pipelineTitle() {
    return 'CICL for Nextflow'
}

// The parameters that are set, without those that only steer the command
def usedParameters(parameters) {
    return parameters.findAll { name, value -> value != null && !(name in ['help', 'version', 'trace_report_suffix']) }.sort()
}

// YAML of process -> tool -> version, for people and for MultiQC; tools that a process does without are left out
def versionsYaml(versions) {
    def own = [['Workflow', pipelineTitle(), workflow.manifest.version], ['Workflow', 'Nextflow', workflow.nextflow.version]]
    return (versions.findAll { _process, _tool, version -> !(version in ['none', 'no CUDA available']) } + own)
        .groupBy { process, _tool, _version -> process.tokenize(':').last() }
        .sort()
        .collect { process, tools ->
            "${process}:\n" + tools.collect { _process, tool, version -> "    ${tool}: \"${version}\"\n" }.sort().join('')
        }
        .join('')
}

// A section of the MultiQC page: how the clusters were found, ready for a paper
def methodsDescription(parameters) {
    def template = file("${projectDir}/assets/methods_description_template.yml").text
    def values = [
        pipeline: pipelineTitle(),
        version: workflow.manifest.version,
        nextflow: workflow.nextflow.version,
        preset: parameters.preset,
        seed: parameters.seed,
        // -resume aside, so that the page is not made again by it
        command: htmlText(workflow.commandLine.replaceAll(/ -resume( [0-9a-f-]{36}| [a-z]+_[a-z]+)?/, '')),
    ]
    return values.inject(template) { text, name, value -> text.replace("{${name}}", "${value}") }
}

// A section of the MultiQC page: the parameters of the run
def parametersSection(parameters) {
    def rows = usedParameters(parameters).collect { name, value -> "<dt>${name}</dt><dd><samp>${htmlText(value)}</samp></dd>" }
    return """\
        id: 'parameters'
        section_name: 'Parameters of the run'
        plot_type: 'html'
        data: |
            <dl class="dl-horizontal">
            ${rows.join('\n            ')}
            </dl>
        """.stripIndent()
}

def htmlText(value) {
    return "${value}".replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;').replaceAll(/\s+/, ' ')
}
