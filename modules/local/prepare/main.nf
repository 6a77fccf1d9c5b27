include { megabytes ; quoted } from '../functions'

process PREPARE {
    tag "${meta.id}"
    label 'process_low'

    conda "${moduleDir}/environment.yml"
    container 'cicl.localhost/cicl-nextflow:0.1.0'

    // For conf/base.config, which asks for memory and time by them
    ext input_mb: { megabytes(counts.toRealPath()) as int }, in_blocks: { counts.name ==~ /.*\.(h5ad|h5|zarr)/ && !meta.integrate }

    input:
    tuple val(meta), path(counts)

    output:
    tuple val(meta), path("${prefix}.prepared.h5ad"), emit: h5ad
    tuple val(meta), path("${prefix}.inputs.tsv"), emit: checksums
    tuple val(meta), env('n_cells'), emit: n_cells
    tuple val("${task.process}"), val('cicl'), eval("cicl.py --version | sed 's/.* //'"), topic: versions, emit: versions_cicl
    tuple val("${task.process}"), val('scanpy'), eval("python3 -c 'import importlib.metadata as m; print(m.version(\"scanpy\"))'"), topic: versions, emit: versions_scanpy

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    def args2 = task.ext.args2 ?: ''
    prefix = task.ext.prefix ?: "${meta.id}"
    if ("${counts}" == "${prefix}.prepared.h5ad") {
        error("Input and output of ${task.process} are both called '${counts}': set another `ext.prefix`")
    }
    def options = [
        meta.label_col ? "--label-col ${quoted(meta.label_col)}" : '',
        meta.batch_col ? "--batch-col ${quoted(meta.batch_col)}" : '',
        meta.integrate ? '--integrate' : '',
        meta.counts_layer ? "--counts-layer ${quoted(meta.counts_layer)}" : '',
        meta.cells_in ? "--cells-in ${meta.cells_in}" : '',
    ].findAll().join(' ')
    """
    # Engine ${task.ext.engine ?: ''}
    export OMP_NUM_THREADS=${task.cpus} NUMBA_NUM_THREADS=${task.cpus}
    cicl.py prepare ${quoted("./${counts.name}")} --id '${prefix}' ${options} ${args} ${args2}
    n_cells=\$(python3 -c 'import h5py, sys; obs = h5py.File(sys.argv[1])["obs"]; print(len(obs[obs.attrs["_index"]]))' '${prefix}.prepared.h5ad')
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    if ("${counts}" == "${prefix}.prepared.h5ad") {
        error("Input and output of ${task.process} are both called '${counts}': set another `ext.prefix`")
    }
    """
    touch '${prefix}.prepared.h5ad'
    printf 'sample\\tfile\\tbytes\\tsha256\\n' > '${prefix}.inputs.tsv'
    n_cells=''
    """
}
