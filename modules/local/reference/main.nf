process REFERENCE {
    tag "${meta.id}"
    label 'process_single'

    conda "${moduleDir}/environment.yml"
    container 'cicl.localhost/cicl-nextflow:0.1.0'

    input:
    tuple val(meta), path(fasta, stageAs: 'genome/*'), path(gtf, stageAs: 'annotation/*')

    output:
    tuple val(meta), path("${prefix}.fa"), emit: fasta
    tuple val(meta), path("${prefix}.gtf"), emit: gtf

    when:
    task.ext.when == null || task.ext.when

    script:
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    # The aligners read plain text only.
    unpacked() { case "\$1" in *.gz) gzip -cd "\$1" ;; *) cat "\$1" ;; esac; }
    unpacked ${fasta} > '${prefix}.fa'
    unpacked ${gtf} > '${prefix}.gtf'
    if [ ! -s '${prefix}.fa' ] || ! grep -qm 1 '^>' '${prefix}.fa'; then
        echo "ERROR: \$(basename ${fasta}) is no FASTA: give the genome's sequence with --fasta" >&2
        exit 2
    fi
    chromosomes=\$(sed -n 's/^>\\([^ \\t]*\\).*/\\1/p' '${prefix}.fa')
    if ! awk -F '\\t' 'NR == FNR { known[\$1] = 1; next } \$3 == "exon" && (\$1 in known) { found = 1; exit } END { exit !found }' \\
        <(printf '%s\\n' "\$chromosomes") '${prefix}.gtf'; then
        echo "ERROR: no exon of \$(basename ${gtf}) lies on a sequence of \$(basename ${fasta}): give annotation and genome of one release (chr1 and 1 are different names)" >&2
        exit 2
    fi
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    touch '${prefix}.fa' '${prefix}.gtf'
    """
}
