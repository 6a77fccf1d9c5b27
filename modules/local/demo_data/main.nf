process DEMO_DATA {
    label 'process_single'

    conda "${moduleDir}/environment.yml"
    container 'cicl.localhost/cicl-nextflow:0.1.0'

    output:
    path "demo/samplesheet.csv", emit: samplesheet
    path "demo/*.h5ad", emit: h5ad
    tuple val("${task.process}"), val('cicl'), eval("cicl.py --version | sed 's/.* //'"), topic: versions, emit: versions_cicl

    when:
    task.ext.when == null || task.ext.when

    script:
    """
    # Engine ${task.ext.engine ?: ''}
    cicl.py demo-data --outdir demo
    """

    stub:
    """
    mkdir demo
    touch demo/pbmc700.h5ad demo/pbmc350.h5ad
    printf '%s\\n' 'sample,input,label_col' 'pbmc700,pbmc700.h5ad,bulk_labels' 'pbmc350,pbmc350.h5ad,' > demo/samplesheet.csv
    """
}
