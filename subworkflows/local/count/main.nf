//
// Reads to counts: FASTQ -> a look at the reads -> alignment -> the barcodes that are cells
//

include { FASTQ_CHECK         } from '../../../modules/local/fastq_check'
include { STAR_GENOMEGENERATE } from '../../../modules/local/star/genomegenerate'
include { STAR_SOLO           } from '../../../modules/local/star/solo'
include { CALL_CELLS          } from '../../../modules/local/call_cells'

workflow COUNT {
    take:
    ch_reads // channel: [ val(meta), [ path(fastq_1) ], [ path(fastq_2) ] ], a file for each lane
    ch_raw // channel: [ val(meta), path(matrix) ], unfiltered matrices that others made
    references // map: fasta, gtf, star_index, whitelist (path or empty list), protocol

    main:
    // Before hours of alignment: do the reads fit the protocol and the whitelist?
    FASTQ_CHECK(ch_reads, references.whitelist, references.protocol)
    ch_checked = ch_reads.join(FASTQ_CHECK.out.json).map { meta, fastq_1, fastq_2, _json -> [meta, fastq_1, fastq_2] }

    // The index is made once, and only where there are reads
    ch_index = channel.empty()
    if (references.star_index) {
        ch_index = channel.value(references.star_index)
    }
    else {
        ch_first = ch_reads.first()
        STAR_GENOMEGENERATE(ch_first.map { _reads -> references.fasta }, ch_first.map { _reads -> references.gtf })
        ch_index = STAR_GENOMEGENERATE.out.index
    }
    STAR_SOLO(ch_checked, ch_index, references.whitelist, lengths(references.protocol))

    // Cells among the barcodes
    ch_counted = STAR_SOLO.out.counts
        .join(FASTQ_CHECK.out.json)
        .join(STAR_SOLO.out.summary)
        .map { meta, counts, json, summary -> [meta, counts, json, summary, []] }
    CALL_CELLS(ch_counted.mix(ch_raw.map { meta, matrix -> [meta, matrix, [], [], []] }))

    counts = CALL_CELLS.out.h5ad
    logs = STAR_SOLO.out.log

    emit:
    counts // channel: [ val(meta), path(h5ad) ]
    logs // channel: [ val(meta), path(log) ]
}

// Bases of the barcode and of the UMI
def lengths(protocol) {
    return ['10XV2': [16, 10], '10XV3': [16, 12], '10XV4': [16, 12]][protocol]
}
