include { quoted } from '../functions'

process EXPORT {
    tag "${meta.id}"
    label 'process_low'

    conda "${moduleDir}/environment.yml"
    container 'cicl.localhost/cicl-nextflow:0.1.0'

    // For conf/base.config, which asks for memory by it
    ext input_mb: { (h5ad.toRealPath().size() / 1e6) as int }

    input:
    tuple val(meta), path(h5ad)

    output:
    tuple val(meta), path("${prefix}/export/*.cellxgene.h5ad"), emit: cellxgene, optional: true
    tuple val(meta), path("${prefix}/export/seurat"), emit: seurat, optional: true
    tuple val(meta), path("${prefix}/export/*.rds"), emit: rds, optional: true
    tuple val(meta), path("${prefix}/export/*.loupe*.csv"), emit: loupe, optional: true
    tuple val("${task.process}"), val('cicl'), eval("cicl.py --version | sed 's/.* //'"), topic: versions, emit: versions_cicl
    tuple val("${task.process}"), val('seurat'), eval("Rscript -e 'cat(as.character(packageVersion(\"Seurat\")))' 2> /dev/null || echo none"), topic: versions, emit: versions_seurat

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    prefix = task.ext.prefix ?: "${meta.id}"
    if ("${h5ad}" == "${prefix}") {
        error("Input and output of ${task.process} are both called '${prefix}': set another `ext.prefix`")
    }
    """
    # Engine ${task.ext.engine ?: ''}
    cicl.py export ${quoted("./${h5ad.name}")} --id '${prefix}' --outdir '${prefix}/export' ${args}
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    mkdir -p '${prefix}/export/seurat'
    touch '${prefix}/export/${prefix}'.{cellxgene.h5ad,loupe.csv} '${prefix}/export/seurat/matrix.mtx.gz'
    """
}
