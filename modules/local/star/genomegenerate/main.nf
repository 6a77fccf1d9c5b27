process STAR_GENOMEGENERATE {
    tag "${fasta.baseName}"
    label 'process_high'
    // The suffix array takes 8 to 9 bytes for a base, and sorting it some more.
    memory { (3.GB + ("${fasta}".endsWith('.gz') ? 44 : 11) * fasta.size().B) * task.attempt }

    conda "${moduleDir}/../environment.yml"
    container 'biocontainers/star:2.7.10b--h9ee0642_0'

    input:
    path(fasta, stageAs: 'genome/*')
    path(gtf, stageAs: 'annotation/*')

    output:
    path "star", emit: index
    tuple val("${task.process}"), val('star'), eval("STAR --version 2> /dev/null || echo none"), topic: versions, emit: versions_star

    script:
    def args = task.ext.args ?: ''
    def memory = task.memory ? "--limitGenomeGenerateRAM ${Math.max(task.memory.toBytes() - 100000000, 1000000000)}" : ''
    """
    # STAR reads plain text only.
    unpacked() { case "\$1" in *.gz) gzip -cd "\$1" ;; *) cat "\$1" ;; esac; }
    unpacked ${fasta} > genome.fa
    unpacked ${gtf} > genes.gtf
    if [ ! -s genome.fa ] || ! grep -qm 1 '^>' genome.fa; then
        echo "ERROR: \$(basename ${fasta}) is no FASTA: give the genome's sequence with --fasta" >&2
        exit 2
    fi
    chromosomes=\$(sed -n 's/^>\\([^ \\t]*\\).*/\\1/p' genome.fa)
    if ! awk -F '\\t' 'NR == FNR { known[\$1] = 1; next } \$3 == "exon" && (\$1 in known) { found = 1; exit } END { exit !found }' \\
        <(printf '%s\\n' "\$chromosomes") genes.gtf; then
        echo "ERROR: no exon of \$(basename ${gtf}) lies on a sequence of \$(basename ${fasta}): give annotation and genome of one release (chr1 and 1 are different names)" >&2
        exit 2
    fi
    # As STAR's manual says for genomes that are small: log2(length) / 2 - 1, at most 14
    bases=\$(awk '!/^>/ { n += length(\$0) } END { bases = int(log(n) / log(2) / 2 - 1); print (bases > 14 ? 14 : bases) }' genome.fa)
    mkdir star
    STAR --runMode genomeGenerate --genomeDir star --genomeFastaFiles genome.fa --sjdbGTFfile genes.gtf \\
        --genomeSAindexNbases "\$bases" --runThreadN ${task.cpus} ${memory} ${args}
    rm genome.fa genes.gtf
    """

    stub:
    """
    mkdir star
    touch star/Genome star/SA
    """
}
