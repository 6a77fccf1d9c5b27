process BENCHMARK_RUN {
    tag "${meta.id}"
    label 'process_low'
    label 'process_gpu'

    conda "${moduleDir}/${task.accelerator || task.ext.use_gpu ? 'environment.gpu.yml' : 'environment.yml'}"
    container "${task.accelerator || task.ext.use_gpu ? 'cicl.localhost/cicl-nextflow:0.1.0-gpu' : 'cicl.localhost/cicl-nextflow:0.1.0'}"

    input:
    tuple val(meta), path(h5ad)

    output:
    tuple val(meta), path("${prefix}.tsv"), emit: table
    tuple val("${task.process}"), val('cicl'), eval("cicl.py --version | sed 's/.* //'"), topic: versions, emit: versions_cicl

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    prefix = task.ext.prefix ?: "${meta.id}"
    def device = task.accelerator || task.ext.use_gpu ? 'cuda' : 'cpu'
    def options = [
        meta.methods.tokenize(',').collect { method -> "--method ${method}" },
        meta.tracks.tokenize(',').collect { track -> "--track ${track}" },
        meta.seeds.tokenize(',').collect { seed -> "--seed ${seed}" },
        meta.setting.tokenize(';').collect { setting -> "--setting ${setting}" },
        // The plan refuses values with quotes.
        meta.options.tokenize(';').collect { option -> "--program-option '${option}'" },
    ].flatten().join(' ')
    """
    export OMP_NUM_THREADS=${task.cpus} NUMBA_NUM_THREADS=${task.cpus}
    cicl_benchmark.py run ./${h5ad} --input-kind ${meta.input_kind} ${options} \\
        --device ${device} --threads ${task.cpus} --code ${meta.code} --out '${prefix}.tsv' ${args}
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    touch '${prefix}.tsv'
    """
}
