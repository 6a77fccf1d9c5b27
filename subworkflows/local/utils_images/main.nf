//
// Is the image of the processes where the run will look for it? Said in a sentence before anything is started, as the engines' own
// answer comes with the first task, and names a registry.
//

// Sentences about images that cannot be had. An address is left to the engine: pulling it is its work.
def imageErrors(parameters) {
    def settings = workflow.session.config
    def engine = workflow.containerEngine
    if (!engine || settings.wave?.enabled) {
        return []
    }
    def wrong = ['cicl_image', 'cicl_image_gpu']
        .findAll { name -> parameters[name] && isFile(parameters[name]) && !file(parameters[name], glob: false).exists() }
        .collect { name -> "Parameter --${name}: there is no image '${parameters[name]}'; correct the path." }
    wrong += ['cicl_image', 'cicl_image_gpu']
        .findAll { name -> parameters[name] && isFile(parameters[name]) && !parameters[name].startsWith('/') }
        .collect { name -> "Parameter --${name}: '${parameters[name]}' is a file, so give it by its absolute path: tasks have folders of their own." }
    if (parameters.cicl_image) {
        return wrong
    }
    def image = "cicl.localhost/cicl-nextflow:${workflow.manifest.version}"
    def executor = settings.process?.executor ?: 'local'
    if (executor in ['k8s', 'awsbatch', 'google-batch']) {
        return wrong + ["The image ${image} is on the machine that has built it only, and the tasks run elsewhere: push it to a registry, and give its address with --cicl_image."]
    }
    if (engine in ['singularity', 'apptainer']) {
        return wrong + sifErrors(image, engine, settings[engine])
    }
    // The nodes of a cluster may have an image, or an engine, that this machine has not.
    if (executor != 'local' || !(engine in ['docker', 'podman'])) {
        return wrong
    }
    return isBuilt(engine, image) ? wrong : wrong + ["${engine.capitalize()} has no image ${image}: build it with 'make image', or name yours with --cicl_image."]
}

// Such as images/cicl.sif or /images/cicl.img
def isFile(image) {
    return image.startsWith('/') || image.startsWith('./') || image ==~ /.*\.(sif|img)/
}

// Nextflow looks for a file of the image's name in the library of the site, then in the cache
def sifErrors(image, engine, settings) {
    def name = image.replaceAll('[:/]', '-') + '.img'
    def environment = System.getenv()
    def folders = [
        settings?.libraryDir ?: environment["NXF_${engine.toUpperCase()}_LIBRARYDIR".toString()],
        settings?.cacheDir ?: environment["NXF_${engine.toUpperCase()}_CACHEDIR".toString()] ?: "${workflow.workDir}/${engine}",
    ].findAll()
    return folders.any { folder -> file("${folder}/${name}", glob: false).exists() }
        ? []
        : ["${engine.capitalize()} has no image ${name} in ${folders.join(' or ')}: make it with containers/sif.sh, or name yours, a .sif file or an address, with --cicl_image."]
}

def isBuilt(engine, image) {
    try {
        def process = [engine, 'image', 'inspect', image].execute()
        process.consumeProcessOutput()
        process.waitForOrKill(20000)
        return process.exitValue() == 0
    }
    catch (Exception _error) {
        // Without the engine the first task fails, and says so.
        return true
    }
}
