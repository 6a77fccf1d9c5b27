//
// Writes the settings of each of --profiles ('a,b;c') to the file --to, as both parsers of Nextflow read them: parser -> profile -> text
//

def settings(profile, parser) {
    def root = file("${projectDir}/../..").toRealPath()
    nextflow.SysEnv.push(new HashMap(System.getenv()) + [NXF_SYNTAX_PARSER: parser])
    def config = new nextflow.config.ConfigBuilder()
        .setShowClosures(true)
        .setBaseDir(root)
        .setCurrentDir(root)
        .setProfile(profile)
        .buildGivenFiles([root.resolve('nextflow.config')])
    nextflow.SysEnv.pop()
    return nextflow.util.ConfigHelper.toFlattenString(config as ConfigObject)
}

workflow {
    def found = ['v1', 'v2'].collectEntries { parser ->
        [parser, params.profiles.tokenize(';').collectEntries { profile -> [profile, settings(profile, parser)] }]
    }
    file(params.to).text = groovy.json.JsonOutput.toJson(found)
}
