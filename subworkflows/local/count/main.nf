//
// Reads to counts: FASTQ -> a look at the reads -> alignment -> the barcodes that are cells
//

include { FASTQ_CHECK         } from '../../../modules/local/fastq_check'
include { STAR_GENOMEGENERATE } from '../../../modules/local/star/genomegenerate'
include { STAR_SOLO           } from '../../../modules/local/star/solo'
include { GFFREAD             } from '../../../modules/local/gffread'
include { SALMON_INDEX        } from '../../../modules/local/salmon/index'
include { SALMON_ALEVIN       } from '../../../modules/local/salmon/alevin'
include { CALL_CELLS          } from '../../../modules/local/call_cells'

workflow COUNT {
    take:
    ch_reads // channel: [ val(meta), [ path(fastq_1) ], [ path(fastq_2) ] ], a file for each lane
    ch_raw // channel: [ val(meta), path(matrix) ], unfiltered matrices that others made
    references // map: fasta, gtf, star_index, whitelist (path or empty list), protocol, aligner

    main:
    // Before hours of alignment: do the reads fit the protocol and the whitelist?
    FASTQ_CHECK(ch_reads, references.whitelist, references.protocol)
    ch_checked = ch_reads.join(FASTQ_CHECK.out.json).map { meta, fastq_1, fastq_2, _json -> [meta, fastq_1, fastq_2] }

    // References are made once, and only where there are reads
    ch_first = ch_reads.first()
    ch_fasta = ch_first.map { _reads -> references.fasta }
    ch_gtf = ch_first.map { _reads -> references.gtf }
    ch_matrices = channel.empty()
    if (references.aligner == 'alevin') {
        GFFREAD(ch_fasta, ch_gtf)
        SALMON_INDEX(GFFREAD.out.transcripts)
        SALMON_ALEVIN(
            ch_checked,
            SALMON_INDEX.out.index,
            GFFREAD.out.genes_of_transcripts,
            references.whitelist,
            references.protocol == '10XV2' ? 'chromium' : 'chromiumV3',
        )
        ch_matrices = SALMON_ALEVIN.out.counts
            .combine(GFFREAD.out.genes)
            .map { meta, counts, genes -> [meta, counts, [], genes] }
    }
    else {
        ch_index = channel.value(references.star_index)
        if (!references.star_index) {
            STAR_GENOMEGENERATE(ch_fasta, ch_gtf)
            ch_index = STAR_GENOMEGENERATE.out.index
        }
        STAR_SOLO(ch_checked, ch_index, references.whitelist, lengths(references.protocol))
        ch_matrices = STAR_SOLO.out.counts
            .join(STAR_SOLO.out.summary)
            .map { meta, counts, summary -> [meta, counts, summary, []] }
    }

    // Cells among the barcodes
    ch_counted = ch_matrices
        .join(FASTQ_CHECK.out.json)
        .map { meta, counts, summary, genes, json -> [meta, counts, json, summary, genes] }
    CALL_CELLS(ch_counted.mix(ch_raw.map { meta, matrix -> [meta, matrix, [], [], []] }))

    counts = CALL_CELLS.out.h5ad

    emit:
    counts // channel: [ val(meta), path(h5ad) ]
}

// Bases of the barcode and of the UMI
def lengths(protocol) {
    return ['10XV2': [16, 10], '10XV3': [16, 12], '10XV4': [16, 12]][protocol]
}
