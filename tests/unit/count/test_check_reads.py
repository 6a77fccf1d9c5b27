"""Reads that do not fit: each with the sentence that says what to change."""

import gzip

import numpy as np
import pytest
import simulate_reads
from sccicl.count.check_reads import check_reads
from sccicl.errors import InputError


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """A small library of each chemistry, and its whitelist."""
    folder = tmp_path_factory.mktemp("library")
    reference = simulate_reads.make_reference(80, 2)
    droplets = simulate_reads.draw_droplets(reference, 40, 200, umis=200)
    (folder / "whitelist.txt").write_text("\n".join(simulate_reads.whitelist(droplets)))
    for protocol in ("10XV2", "10XV3"):
        simulate_reads.write_fastq(droplets, reference, folder / protocol, protocol=protocol, lanes=1)
    return folder


def lane(folder, name):
    return tuple(folder / f"{name}_L001_R{mate}_001.fastq.gz" for mate in (1, 2))


def write(path, sequences, names=None):
    names = names or [f"r{i}" for i in range(len(sequences))]
    text = "".join(f"@{name}\n{s}\n+\n{'F' * len(s)}\n" for name, s in zip(names, sequences, strict=True))
    with gzip.open(path, "wt") if path.suffix == ".gz" else path.open("w") as file:
        file.write(text)
    return path


def sequences(path):
    with gzip.open(path, "rt") as file:
        return [line.strip() for i, line in enumerate(file) if i % 4 == 1]


def refusal(*arguments):
    with pytest.raises(InputError) as error:
        check_reads(*arguments)
    return str(error.value)


@pytest.mark.parametrize("protocol", ["10XV2", "10XV3"])
def test_good_reads(library, protocol):
    found = check_reads([lane(library, protocol)], protocol, library / "whitelist.txt")
    assert found["length_1"] == 16 + simulate_reads.UMI_LENGTH[protocol]
    assert found["length_2"] == simulate_reads.READ_LENGTH
    # A base is wrong once in 333, and 16 of them have to be right.
    assert found["whitelist_match"] == pytest.approx(0.997**16, abs=0.03)
    assert found["warnings"] == []


def test_chemistry_is_told_by_the_length_of_read_1(library):
    text = refusal([lane(library, "10XV2")], "10XV3", None)
    assert "read 1 has 26 bases, but 10XV3 needs 28 (16 of the barcode and 12 of the UMI)" in text
    assert text.endswith("the length is that of --protocol 10XV2")


def test_chemistry_is_told_by_the_bases_after_the_umi(library, tmp_path):
    assert "--protocol 10XV3 or 10XV4" in refusal([lane(library, "10XV3")], "10XV2", library / "whitelist.txt")
    # A library of 10XV2 that was sequenced for longer: poly(T) follows the UMI.
    long = write(tmp_path / "R1.fastq.gz", [s + "T" * 10 for s in sequences(lane(library, "10XV2")[0])])
    mates = write(tmp_path / "R2.fastq.gz", sequences(lane(library, "10XV2")[1]))
    assert refusal([(long, mates)], "10XV3", None).endswith("use --protocol 10XV2")
    assert check_reads([(long, mates)], "10XV2", library / "whitelist.txt")["whitelist_match"] > 0.9


def test_swapped_files(library):
    text = refusal([lane(library, "10XV3")[::-1]], "10XV3", None)
    assert text.endswith("swap fastq_1 and fastq_2")


def test_other_whitelist(library, tmp_path):
    (tmp_path / "other.txt").write_text(
        "\n".join(simulate_reads.random_barcodes(2000, 16, np.random.default_rng(9))) + "\n"
    )
    text = refusal([lane(library, "10XV3")], "10XV3", tmp_path / "other.txt")
    assert "0.0% of the barcodes" in text
    assert "10XV2: 737K-august-2016.txt" in text


def test_whitelist_in_the_other_direction(library, tmp_path):
    turned = [s.translate(str.maketrans("ACGT", "TGCA"))[::-1] for s in (library / "whitelist.txt").read_text().split()]
    (tmp_path / "turned.txt").write_text("\n".join(turned))
    assert "reverse complements match" in refusal([lane(library, "10XV3")], "10XV3", tmp_path / "turned.txt")


def test_bases_before_the_barcode(library, tmp_path):
    shifted = write(tmp_path / "R1.fastq.gz", ["AAG" + s for s in sequences(lane(library, "10XV3")[0])])
    text = refusal([(shifted, lane(library, "10XV3")[1])], "10XV3", library / "whitelist.txt")
    # The simulated names hold the mate, those written here do not.
    assert "not the mates of one lane" in text
    mates = write(tmp_path / "R2.fastq.gz", sequences(lane(library, "10XV3")[1]))
    text = refusal([(shifted, mates)], "10XV3", library / "whitelist.txt")
    assert "the first 3 bases have to be trimmed" in text


@pytest.mark.parametrize(
    ("content", "sentence"), [("", "is empty"), ("ACGT\n", "which is no barcode of 16 bases"), ("16 barcodes", "'16'")]
)
def test_whitelist_that_is_none(library, tmp_path, content, sentence):
    (tmp_path / "list.txt").write_text(content)
    assert sentence in refusal([lane(library, "10XV3")], "10XV3", tmp_path / "list.txt")


def test_no_barcodes_at_all(tmp_path):
    rng = np.random.default_rng(0)
    reads = ["".join(rng.choice(list("ACGT"), 28)) for _ in range(10_000)]
    pair = write(tmp_path / "a.fastq", reads), write(tmp_path / "b.fastq", ["A" * 91] * 10_000)
    assert "no barcodes of cells" in refusal([pair], "10XV3", None)


def test_empty_files(tmp_path):
    pair = write(tmp_path / "a_R1.fastq.gz", []), write(tmp_path / "a_R2.fastq", [])
    assert refusal([pair], "10XV3", None).startswith("a_R1.fastq.gz and a_R2.fastq hold no reads")


def test_one_empty_file(tmp_path):
    pair = write(tmp_path / "a_R1.fastq", ["A" * 28]), write(tmp_path / "a_R2.fastq", [])
    assert refusal([pair], "10XV3", None).startswith("a_R2.fastq holds no reads")


def test_one_file_ends_before_the_other(tmp_path):
    pair = write(tmp_path / "a_R1.fastq", ["A" * 28] * 5), write(tmp_path / "a_R2.fastq", ["A" * 91] * 3)
    text = refusal([pair], "10XV3", None)
    assert text.startswith("a_R2.fastq ends after 3 reads, a_R1.fastq does not")


def test_files_of_other_lanes(tmp_path):
    pair = write(tmp_path / "a_R1.fastq", ["A" * 28], ["x/1"]), write(tmp_path / "a_R2.fastq", ["A" * 91], ["y/2"])
    assert "read 1 is 'x' in a_R1.fastq and 'y' in a_R2.fastq" in refusal([pair], "10XV3", None)


@pytest.mark.parametrize("content", [b">a\nACGT\n>b\nACGT\n", b"@a\nACGT\n+\nFF\n", b"\xff\xfe\x00"])
def test_no_fastq(tmp_path, content):
    (tmp_path / "a_R1.fastq").write_bytes(content)
    pair = tmp_path / "a_R1.fastq", write(tmp_path / "a_R2.fastq", ["A" * 91])
    assert refusal([pair], "10XV3", None).startswith("a_R1.fastq")


def test_file_that_was_cut_off(library, tmp_path):
    whole = lane(library, "10XV3")[0].read_bytes()
    (tmp_path / "a_R1.fastq.gz").write_bytes(whole[: len(whole) // 2])
    text = refusal([(tmp_path / "a_R1.fastq.gz", lane(library, "10XV3")[1])], "10XV3", None)
    assert text.startswith("a_R1.fastq.gz cannot be read after")
