//
// Reads to counts: FASTQ -> a look at the reads -> alignment -> the barcodes that are cells
//

include { CHECK_READS         } from '../../../modules/local/check_reads'
include { REFERENCE           } from '../../../modules/local/reference'
include { STAR_GENOMEGENERATE } from '../../../modules/local/star/genomegenerate'
include { STAR_STARSOLO       } from '../../../modules/local/star/starsolo'
include { TRANSCRIPTS         } from '../../../modules/local/transcripts'
include { GFFREAD             } from '../../../modules/local/gffread'
include { SIMPLEAF_INDEX      } from '../../../modules/local/simpleaf/index'
include { SIMPLEAF_QUANT      } from '../../../modules/local/simpleaf/quant'
include { CALL_CELLS          } from '../../../modules/local/call_cells'

workflow COUNT {
    take:
    ch_reads // channel: [ val(meta), [ path(fastq_1) ], [ path(fastq_2) ] ], a file for each lane
    ch_raw // channel: [ val(meta), path(matrix) ], unfiltered matrices that others made
    references // map: fasta, gtf, star_index, whitelist (path or empty list), protocol, aligner

    main:
    // Before hours of alignment: do the reads fit the protocol and the whitelist? Read 1 and read 2 of each lane in turn from here on
    CHECK_READS(ch_reads, references.whitelist, references.protocol)
    ch_checked = ch_reads
        .join(CHECK_READS.out.json)
        .map { meta, fastq_1, fastq_2, json -> [meta + lengths(json), [fastq_1, fastq_2].transpose().flatten()] }

    // References are made once, and only where there are reads
    REFERENCE(
        ch_reads
            .first()
            .filter { _reads -> references.fasta && references.gtf && !(references.star_index && references.aligner == 'star') }
            .map { _reads -> [[id: 'genome'], references.fasta, references.gtf] }
    )
    ch_matrices = channel.empty()
    if (references.aligner == 'alevin') {
        TRANSCRIPTS(REFERENCE.out.gtf)
        GFFREAD(TRANSCRIPTS.out.gtf, REFERENCE.out.fasta.map { _meta, fasta -> fasta })
        SIMPLEAF_INDEX([[:], [], []], GFFREAD.out.gffread_fasta, [[:], []], [[:], []])
        SIMPLEAF_QUANT(
            ch_checked.map { meta, reads -> [meta, meta.umi_length == 10 ? '10xv2' : '10xv3', reads] },
            SIMPLEAF_INDEX.out.index,
            TRANSCRIPTS.out.t2g,
            'cr-like',
            [[:], references.whitelist],
            [[:], []],
        )
        ch_matrices = SIMPLEAF_QUANT.out.quant
            .combine(TRANSCRIPTS.out.genes)
            .map { meta, quant, _meta, genes -> [meta, quant.resolve('alevin'), [], genes] }
    }
    else {
        ch_index = channel.value([[id: 'star'], references.star_index])
        if (!references.star_index) {
            STAR_GENOMEGENERATE(REFERENCE.out.fasta, REFERENCE.out.gtf)
            ch_index = STAR_GENOMEGENERATE.out.index
        }
        STAR_STARSOLO(
            ch_checked.map { meta, reads -> [meta, 'CB_UMI_Simple', reads, []] },
            references.whitelist,
            ch_index,
            [[:], []],
            true,
        )
        ch_matrices = STAR_STARSOLO.out.raw_counts
            .join(STAR_STARSOLO.out.summary)
            .map { meta, counts, summary -> [meta, counts, summary, []] }
    }

    // Cells among the barcodes
    ch_counted = ch_matrices
        .map { meta, counts, summary, genes -> [meta.findAll { name, _value -> !(name in ['barcode_length', 'umi_length']) }, counts, summary, genes] }
        .join(CHECK_READS.out.json)
        .map { meta, counts, summary, genes, json -> [meta, counts, json, summary, genes] }
    CALL_CELLS(ch_counted.mix(ch_raw.map { meta, matrix -> [meta, matrix, [], [], []] }))

    counts = CALL_CELLS.out.h5ad

    emit:
    counts // channel: [ val(meta), path(h5ad) ]
}

// Bases of the barcode and of the UMI, from the record of the look at the reads
def lengths(json) {
    return new groovy.json.JsonSlurper().parse(json).subMap(['barcode_length', 'umi_length'])
}
