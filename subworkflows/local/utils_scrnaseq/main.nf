//
// The samples in a folder of results of nf-core/scrnaseq, by its layout: nothing is opened
//

include { expectation } from '../utils_schema'

// The samples, [ meta, path ] each; an unfiltered matrix has meta.cell_calling. `matrix` is auto, filtered or raw, `aligner` null
// where the folder has the results of one only, `columns` the rules of a samplesheet. Stops with a sentence where nothing fits.
def scrnaseqSamples(folder, aligner, matrix, defaults, columns) {
    if (!folder.isDirectory()) {
        error("ERROR: Parameter --scrnaseq_results: '${folder}' is no folder; give the --outdir of nf-core/scrnaseq.")
    }
    def found = alignersIn(folder)
    def listed = found.keySet().join(', ')
    if (!found) {
        error("ERROR: '${folder}' holds no counts of nf-core/scrnaseq: none of the folders ${knownAligners().join(', ')} has any; give its --outdir with --scrnaseq_results.")
    }
    if (aligner && !found[aligner]) {
        error("ERROR: '${folder}' holds no counts of ${aligner}, but of ${listed}; correct --scrnaseq_aligner.")
    }
    if (!aligner && found.size() > 1) {
        error("ERROR: '${folder}' holds counts of several aligners (${listed}); choose one with --scrnaseq_aligner.")
    }
    def chosen = aligner ?: found.keySet().first()
    def parts = found[chosen].findAll { candidate -> candidate.kind == 'part' }.collect { candidate -> candidate.sample }
    if (parts) {
        error("ERROR: '${folder}' has the spliced and unspliced counts of kallisto in separate files (${parts.join(', ')}); add them up, and give the sums in a samplesheet with --input.")
    }
    def fitting = (chosen == 'cellrangermulti' ? withoutPools(found[chosen], folder, matrix) : found[chosen])
        .findAll { candidate -> matrix == 'auto' || (candidate.kind == 'raw') == (matrix == 'raw') }
    if (!fitting) {
        error("ERROR: '${folder}' has no ${matrix} matrices of ${aligner ?: listed}; leave --scrnaseq_matrix out to take those that there are.")
    }
    def unnamed = fitting.collect { candidate -> candidate.sample }.unique().findAll { sample -> expectation(sample, columns.sample) || sample in columns.sample.not['enum'] }
    if (unnamed) {
        error("ERROR: '${folder}' has samples whose names cannot name files here: '${unnamed.join("', '")}'; give a samplesheet with --input, and other names in it.")
    }
    def settings = defaults.findAll { _name, value -> value }
    return fitting
        .groupBy { candidate -> candidate.sample }
        .sort()
        .collect { sample, candidates ->
            def best = candidates.min { candidate -> rank(candidate) }
            [[id: sample] + settings + (best.kind == 'raw' ? [cell_calling: true] : [:]), best.path]
        }
}

def knownAligners() {
    return ['alevin', 'cellranger', 'cellrangerarc', 'cellrangermulti', 'kallisto', 'simpleaf', 'star', 'universc']
}

// Aligner -> its matrices, for aligners that have any; `folder` may also be the folder of one aligner
def alignersIn(folder) {
    def found = knownAligners()
        .collectEntries { name -> [name, matrices(folder.resolve(name), name)] }
        .findAll { _name, candidates -> candidates }
    return found ?: (folder.name in knownAligners() ? [(folder.name): matrices(folder, folder.name)].findAll { _name, candidates -> candidates } : [:])
}

// Cells that were told from empty droplets come first, then h5ad before the aligner's own files
def rank(candidate) {
    def kinds = ['cellbender_filter', 'emptydrops_filter', 'custom_emptydrops_filter', 'filtered', 'raw']
    def feature = candidate.path.toString().contains('/GeneFull') ? 1 : 0
    return 100 * kinds.indexOf(candidate.kind) + 10 * (candidate.path.name.endsWith('.h5ad') ? 0 : candidate.path.name.endsWith('.h5') ? 1 : 2) + feature
}

// Cell Ranger multi writes the matrices of a pool beside those of the samples in it, whose cells these are
def withoutPools(candidates, folder, matrix) {
    def outs = listed("${folder.name == 'cellrangermulti' ? folder : folder.resolve('cellrangermulti')}/count/*/outs/per_sample_outs/*")
        .groupBy { path -> path.parent.parent.parent.name }
        .collectEntries { pool, paths -> [pool, paths.collect { path -> path.name }] }
    def pools = outs.findAll { pool, samples -> samples != [pool] }.keySet()
    if (pools) {
        log.warn("Pools of Cell Ranger multi are left out, for their samples hold the same cells: ${pools.join(', ')}")
    }
    def left = candidates.findAll { candidate -> !(candidate.sample in pools) || candidate.kind == 'filtered' && candidate.sample in outs[candidate.sample] }
    def filtered = left.findAll { candidate -> candidate.kind == 'filtered' }.collect { candidate -> candidate.sample }
    def others = left.collect { candidate -> candidate.sample }.unique() - filtered - outs.keySet()
    if (filtered && others && matrix != 'filtered') {
        error("ERROR: '${folder}' has no count/ of Cell Ranger multi, so it cannot be seen whether ${others.join(', ')} are samples or pools of the other samples; take the samples with --scrnaseq_matrix filtered, or give a samplesheet with --input.")
    }
    return left
}

// All matrices of an aligner: sample, kind and path. combined_* hold all samples together, and are left alone
def matrices(base, aligner) {
    if (!base.isDirectory()) {
        return []
    }
    // Up to 2.5 there is one matrix of a sample: of the cells that Cell Ranger and STAR called, and of all barcodes of the others
    def only = aligner.startsWith('cellranger') || aligner == 'star' ? 'filtered' : 'raw'
    def conversions = listed("${base}/mtx_conversions/**_matrix.h5ad")
        .collect { path -> [path, path.name =~ /^(.+?)(?:_(raw|filtered|cellbender_filter|emptydrops_filter|custom_emptydrops_filter))?_matrix\.h5ad$/] }
        .collect { path, match -> [sample: match[0][1], kind: match[0][2] ?: (isPart(match[0][1], aligner) ? 'part' : only), path: path] }
        .findAll { candidate -> !(candidate.sample ==~ /combined(_(un)?spliced)?/) }
    // Up to 2.2 the folders of Cell Ranger are called sample-<id>.
    def known = conversions.collect { candidate -> candidate.sample }
    return conversions + ownMatrices(base, aligner).collect { candidate ->
        def bare = candidate.sample - ~/^sample-/
        candidate + [sample: bare in known && !(candidate.sample in known) ? bare : candidate.sample]
    }
}

// Up to 2.7, a matrix of each kind of RNA for the workflows of kallisto that distinguish them; later versions write the sum
def isPart(name, aligner) {
    return aligner == 'kallisto' && name ==~ /.+_(spliced|unspliced|nascent|ambiguous|mature)/
}

def ownMatrices(base, aligner) {
    if (aligner == 'cellrangermulti') {
        return listed("${base}/count/*/outs/per_sample_outs/*/count/sample_*_feature_bc_matrix*")
            .collect { path -> [sample: path.parent.parent.name, kind: tenxKind(path), path: path] }
            .findAll { candidate -> candidate.kind }
    }
    if (aligner.startsWith('cellranger')) {
        return listed("${base}/count/*/outs/*_feature_bc_matrix*")
            .collect { path -> [sample: path.parent.parent.name, kind: tenxKind(path), path: path] }
            .findAll { candidate -> candidate.kind }
    }
    if (aligner == 'universc') {
        return listed("${base}/sample-*/outs/*_feature_bc_matrix*")
            .collect { path -> [sample: path.parent.parent.name - ~/^sample-/, kind: tenxKind(path), path: path] }
            .findAll { candidate -> candidate.kind }
    }
    if (aligner == 'star') {
        return listed("${base}/*/*.Solo.out/Gene*/{raw,filtered}")
            .collect { path -> [sample: path.parent.parent.name - '.Solo.out', kind: path.name, path: path] }
    }
    if (aligner == 'kallisto') {
        return listed("${base}/*/counts_*filtered/cells_x_genes.mtx")
            .collect { path -> [sample: path.parent.parent.name - '.count', kind: path.parent.name == 'counts_filtered' ? 'filtered' : 'raw', path: path.parent] }
    }
    // QCatch's are the cells
    return listed("${base}/*/**quants_mat.mtx*").collect { path -> [sample: base.relativize(path).getName(0).toString() - '_alevin_results', kind: 'raw', path: path.parent] } +
        listed("${base}/*/qcatch/*_filtered_quants.h5ad").collect { path -> [sample: path.name - '_filtered_quants.h5ad', kind: 'filtered', path: path] }
}

// filtered or raw, of matrix folders and .h5 files with such a name; null for others, such as molecule_info.h5
def tenxKind(path) {
    def match = path.name =~ /^(?:sample_)?(filtered|raw)_feature_bc_matrix(?:\.h5)?$/
    return match ? match[0][1] : null
}

def listed(pattern) {
    return files(pattern, type: 'any').sort { path -> path.toString() }
}
