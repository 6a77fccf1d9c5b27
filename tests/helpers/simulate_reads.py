"""A small genome and the 10x reads of known cells: what is true is known, from the molecule to the cell type.

`make_reference` draws a genome with spliced genes, `draw_droplets` the molecules of cells and empty droplets, and
`write_fastq` sequences them. All are pure functions of their seed.
"""

import gzip
from dataclasses import dataclass
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

BASES = np.frombuffer(b"ACGT", dtype=np.uint8)
COMPLEMENT = np.arange(256, dtype=np.uint8)
COMPLEMENT[BASES] = BASES[::-1]
READ_LENGTH = 91
BARCODE_LENGTH = 16
UMI_LENGTH = {"10XV2": 10, "10XV3": 12, "10XV4": 12}
# Reads start at most this far from the transcript's 3' end, as those of a 3' kit do.
FRAGMENT_SPAN = 400
TYPES = ("B cell", "Monocyte", "NK cell", "T cell")


@dataclass(frozen=True)
class Reference:
    """Chromosomes, transcripts as they are spliced (in the direction of the gene), and the lines of the GTF."""

    chromosomes: dict[str, np.ndarray]
    transcripts: list[np.ndarray]
    genes: pd.DataFrame
    gtf: list[str]

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write genome.fa and genes.gtf; returns their paths."""
        folder.mkdir(parents=True, exist_ok=True)
        fasta, gtf = folder / "genome.fa", folder / "genes.gtf"
        with fasta.open("wb") as file:
            for name, sequence in self.chromosomes.items():
                file.write(b">" + name.encode() + b"\n")
                text = sequence.tobytes()
                file.writelines(text[i : i + 80] + b"\n" for i in range(0, len(text), 80))
        gtf.write_text("\n".join(self.gtf) + "\n")
        return fasta, gtf


def make_reference(n_genes: int = 200, n_mitochondrial: int = 5, *, seed: int = 0) -> Reference:
    """Genes of 2 to 4 exons on both strands of two chromosomes, and genes without introns on the mitochondrion's."""
    rng = np.random.default_rng(seed)
    chromosomes, transcripts, rows, gtf = {}, [], [], []
    where = {"chr1": range(0, n_genes // 2), "chr2": range(n_genes // 2, n_genes)}
    where["chrM"] = range(n_genes, n_genes + n_mitochondrial)
    for chromosome, genes in where.items():
        pieces, position = [rng.choice(BASES, 500)], 500
        for gene in genes:
            gene_id = f"ENSG{gene:011d}"
            symbol = f"MT-G{gene - n_genes + 1}" if chromosome == "chrM" else f"GENE{gene + 1}"
            strand = "+" if rng.random() < 0.5 else "-"
            n_exons = 1 if chromosome == "chrM" else int(rng.integers(2, 5))
            exons = [rng.choice(BASES, int(rng.integers(180, 400))) for _ in range(n_exons)]
            if n_exons == 1:
                exons = [rng.choice(BASES, 700)]
            introns = [rng.choice(BASES, int(rng.integers(80, 500))) for _ in range(len(exons) - 1)]
            for intron in introns:
                intron[:2], intron[-2:] = BASES[[2, 3]], BASES[[0, 2]]  # GT...AG
            parts = [part for pair in zip(exons, [*introns, None], strict=True) for part in pair if part is not None]
            sequence = np.concatenate(parts)
            starts = np.cumsum([0, *map(len, parts)])[:-1][::2]
            spans = [(int(start), int(start) + len(exon)) for start, exon in zip(starts, exons, strict=True)]
            if strand == "-":
                spans = sorted((len(sequence) - end, len(sequence) - start) for start, end in spans)
                sequence = COMPLEMENT[sequence[::-1]]
            names = f'gene_id "{gene_id}"; gene_name "{symbol}"; gene_type "protein_coding";'
            of_transcript = f'{names} transcript_id "ENST{gene:011d}";'
            line = f"{chromosome}\tsimulation\t%s\t%d\t%d\t.\t{strand}\t.\t%s"
            first, last = position + 1, position + len(sequence)
            gtf += [line % ("gene", first, last, names), line % ("transcript", first, last, of_transcript)]
            gtf += [line % ("exon", position + a + 1, position + b, of_transcript) for a, b in spans]
            pieces += [sequence, rng.choice(BASES, 300)]
            position = last + 300
            transcripts.append(np.concatenate(exons))
            rows.append((gene_id, symbol, chromosome))
        chromosomes[chromosome] = np.concatenate(pieces)
    table = pd.DataFrame(rows, columns=["gene_id", "gene_symbols", "chromosome"]).set_index("gene_id")
    return Reference(chromosomes, transcripts, table, gtf)


def random_barcodes(n: int, length: int, rng: np.random.Generator) -> list[str]:
    """Distinct sequences."""
    found: dict[str, None] = {}
    while len(found) < n:
        drawn = rng.choice(BASES, (n, length))
        found.update(dict.fromkeys(row.tobytes().decode() for row in drawn))
    return list(found)[:n]


def marker_genes(n_markers: int = 15) -> dict[str, list[int]]:
    """Numbers of the genes that each type expresses more than the others."""
    return {kind: list(range(i * n_markers, (i + 1) * n_markers)) for i, kind in enumerate(TYPES)}


def draw_droplets(
    reference: Reference,
    n_cells: int = 300,
    n_empty: int = 2000,
    *,
    umis: float = 900,
    fold: float = 12.0,
    ambient: float = 0.03,
    profile_seed: int = 1,
    seed: int = 2,
) -> anndata.AnnData:
    """Molecules of every droplet, cells first: X (droplets, genes), obs["cell_type"] ("empty" for those without).

    Cells of one `profile_seed` are of the same types, whatever their `seed`. A share `ambient` of the molecules of a
    cell, and all of an empty droplet, come from the mixture of all cells.
    """
    n_genes = len(reference.transcripts)
    base = np.random.default_rng(profile_seed).gamma(1.0, 1.0, n_genes) + 0.05
    profiles = np.tile(base, (len(TYPES), 1))
    for row, genes in enumerate(marker_genes().values()):
        profiles[row, genes] *= fold
    profiles /= profiles.sum(1, keepdims=True)
    rng = np.random.default_rng(seed)
    types = np.sort(np.arange(n_cells) % len(TYPES))
    soup = profiles[types].mean(0)
    depth = umis * rng.lognormal(0, 0.3, n_cells)
    cells = rng.poisson(depth[:, None] * ((1 - ambient) * profiles[types] + ambient * soup))
    empty = rng.poisson(rng.gamma(2.0, 5.0, n_empty)[:, None] * soup)
    return anndata.AnnData(
        sparse.csr_matrix(np.vstack([cells, empty]).astype(np.float32)),
        obs=pd.DataFrame(
            {"cell_type": [TYPES[i] for i in types] + ["empty"] * n_empty},
            index=random_barcodes(n_cells + n_empty, BARCODE_LENGTH, rng),
        ),
        var=reference.genes.copy(),
    )


def whitelist(droplets: anndata.AnnData, n_more: int = 3000, *, seed: int = 3) -> list[str]:
    """The barcodes of the kit: those of the droplets, and others that no read bears."""
    others = random_barcodes(n_more, BARCODE_LENGTH, np.random.default_rng(seed))
    return sorted({*droplets.obs_names, *others})


def write_fastq(
    droplets: anndata.AnnData,
    reference: Reference,
    prefix: Path,
    *,
    protocol: str = "10XV3",
    lanes: int = 2,
    copies: float = 0.7,
    error: float = 0.003,
    foreign: float = 0.02,
    seed: int = 4,
) -> list[tuple[Path, Path]]:
    """Sequence every molecule once and Poisson(`copies`) times more; returns (read 1, read 2) of every lane.

    `error` is the rate of wrong bases in both reads, `foreign` the share of reads that are of no gene.
    """
    rng = np.random.default_rng(seed)
    matrix = droplets.X.tocoo()
    molecules = np.repeat(np.arange(matrix.nnz), matrix.data.astype(int))
    umis = rng.choice(BASES, (len(molecules), UMI_LENGTH[protocol]))
    reads = np.repeat(np.arange(len(molecules)), 1 + rng.poisson(copies, len(molecules)))
    rng.shuffle(reads)
    barcodes = np.array([np.frombuffer(name.encode(), dtype=np.uint8) for name in droplets.obs_names])
    first = np.hstack([barcodes[matrix.row[molecules[reads]]], umis[reads]])

    genes = matrix.col[molecules[reads]]
    lengths = np.array([len(transcript) for transcript in reference.transcripts])
    offsets = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    last = lengths[genes] - READ_LENGTH
    start = last - (rng.random(len(reads)) * np.minimum(last + 1, FRAGMENT_SPAN - READ_LENGTH)).astype(int)
    bases = np.concatenate(reference.transcripts)
    second = bases[(offsets[genes] + start)[:, None] + np.arange(READ_LENGTH)]
    is_foreign = rng.random(len(reads)) < foreign
    second[is_foreign] = rng.choice(BASES, (is_foreign.sum(), READ_LENGTH))

    for sequence in (first, second):
        wrong = rng.random(sequence.shape) < error
        sequence[wrong] = rng.choice(np.append(BASES, ord("N")), wrong.sum())
    prefix.parent.mkdir(parents=True, exist_ok=True)
    paths = []
    for lane in range(lanes):
        of_lane = range(lane, len(reads), lanes)
        pair = tuple(prefix.with_name(f"{prefix.name}_L00{lane + 1}_R{mate}_001.fastq.gz") for mate in (1, 2))
        for mate, (path, sequence) in enumerate(zip(pair, (first, second), strict=True), start=1):
            quality = b"F" * sequence.shape[1]
            with gzip.open(path, "wb", compresslevel=1) as file:
                file.write(
                    b"".join(
                        b"@sim:%d:%d %d:N:0:1\n%b\n+\n%b\n" % (lane + 1, i, mate, sequence[i].tobytes(), quality)
                        for i in of_lane
                    )
                )
        paths.append(pair)
    return paths
