process GFFREAD {
    tag "${fasta.baseName}"
    label 'process_low'

    conda "${moduleDir}/environment.yml"
    container 'biocontainers/gffread:0.12.7--hdcf5f25_4'

    input:
    path(fasta, stageAs: 'genome/*')
    path(gtf, stageAs: 'annotation/*')

    output:
    path "transcripts.fa", emit: transcripts
    path "transcripts_to_genes.tsv", emit: genes_of_transcripts
    path "genes.tsv", emit: genes
    tuple val("${task.process}"), val('gffread'), eval("gffread --version 2> /dev/null || echo none"), topic: versions, emit: versions_gffread

    script:
    def args = task.ext.args ?: ''
    // Reads in introns are of unspliced molecules: without these, they would be taken for the nearest like transcript's.
    """
    unpacked() { case "\$1" in *.gz) gzip -cd "\$1" ;; *) cat "\$1" ;; esac; }
    unpacked ${fasta} > genome.fa
    unpacked ${gtf} | awk -F '\\t' '\$3 == "exon"' > exons.gtf
    awk -F '\\t' -v OFS='\\t' '
        function value(name) { return match(\$9, name " \\"[^\\"]+\\"") ? substr(\$9, RSTART + length(name) + 2, RLENGTH - length(name) - 3) : "" }
        {
            gene = value("gene_id"); transcript = value("transcript_id")
            if (!(gene in first)) { order[++n] = gene; first[gene] = \$4; last[gene] = \$5; place[gene] = \$1; strand[gene] = \$7; symbol[gene] = value("gene_name") }
            if (\$4 < first[gene]) first[gene] = \$4
            if (\$5 > last[gene]) last[gene] = \$5
            if (!(transcript in seen)) { seen[transcript] = 1; print transcript, gene, "S" > "spliced.tsv" }
        }
        END {
            for (i = 1; i <= n; i++) {
                gene = order[i]
                print gene, symbol[gene] > "genes.tsv"
                print gene "-unspliced", gene, "U" > "unspliced.tsv"
                print place[gene], "genes", "exon", first[gene], last[gene], ".", strand[gene], ".", "gene_id \\"" gene "\\"; transcript_id \\"" gene "-unspliced\\";" > "unspliced.gtf"
            }
        }' exons.gtf
    if [ ! -s genes.tsv ]; then
        echo "ERROR: \$(basename ${gtf}) has no exons with a gene_id: give the annotation of the genome as GTF with --gtf" >&2
        exit 2
    fi
    gffread exons.gtf -g genome.fa -w spliced.fa ${args}
    gffread unspliced.gtf -g genome.fa -w unspliced.fa ${args}
    cat spliced.fa unspliced.fa > transcripts.fa
    if [ ! -s transcripts.fa ]; then
        echo "ERROR: no exon of \$(basename ${gtf}) lies on a sequence of \$(basename ${fasta}): give annotation and genome of one release (chr1 and 1 are different names)" >&2
        exit 2
    fi
    cat spliced.tsv unspliced.tsv > transcripts_to_genes.tsv
    rm genome.fa genome.fa.fai exons.gtf unspliced.gtf spliced.fa unspliced.fa spliced.tsv unspliced.tsv
    """

    stub:
    """
    touch transcripts.fa transcripts_to_genes.tsv genes.tsv
    """
}
