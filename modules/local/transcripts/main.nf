process TRANSCRIPTS {
    tag "${meta.id}"
    label 'process_single'

    conda "${moduleDir}/environment.yml"
    container 'cicl.localhost/cicl-nextflow:0.1.0'

    input:
    tuple val(meta), path(gtf)

    output:
    tuple val(meta), path("${prefix}.gtf"), emit: gtf
    tuple val(meta), path("${prefix}.t2g_3col.tsv"), emit: t2g
    tuple val(meta), path("${prefix}.genes.tsv"), emit: genes

    when:
    task.ext.when == null || task.ext.when

    script:
    prefix = task.ext.prefix ?: "${meta.id}.transcripts"
    // Reads in introns are of unspliced molecules: without these, they would be taken for the nearest like transcript's.
    """
    awk -F '\\t' -v OFS='\\t' -v gtf='${prefix}.gtf' -v t2g='${prefix}.t2g_3col.tsv' -v genes='${prefix}.genes.tsv' '
        function value(name) { return match(\$9, name " \\"[^\\"]+\\"") ? substr(\$9, RSTART + length(name) + 2, RLENGTH - length(name) - 3) : "" }
        \$3 == "exon" {
            print > gtf
            gene = value("gene_id"); transcript = value("transcript_id")
            if (!(gene in first)) { order[++n] = gene; first[gene] = \$4; last[gene] = \$5; place[gene] = \$1; strand[gene] = \$7; symbol[gene] = value("gene_name") }
            if (\$4 < first[gene]) first[gene] = \$4
            if (\$5 > last[gene]) last[gene] = \$5
            if (!(transcript in seen)) { seen[transcript] = 1; print transcript, gene, "S" > t2g }
        }
        END {
            for (i = 1; i <= n; i++) {
                gene = order[i]
                print gene, symbol[gene] > genes
                print gene "-unspliced", gene, "U" > t2g
                print place[gene], "genes", "exon", first[gene], last[gene], ".", strand[gene], ".", "gene_id \\"" gene "\\"; transcript_id \\"" gene "-unspliced\\";" > gtf
            }
        }' ${gtf}
    if [ ! -s '${prefix}.genes.tsv' ]; then
        echo "ERROR: \$(basename ${gtf}) has no exons with a gene_id: give the annotation of the genome as GTF with --gtf" >&2
        exit 2
    fi
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}.transcripts"
    """
    touch '${prefix}.gtf' '${prefix}.t2g_3col.tsv' '${prefix}.genes.tsv'
    """
}
