"""Checksums of inputs, compared with those of sha256sum."""

import hashlib
import subprocess

from sccicl.runtime.checksums import combined, input_sums, write_sums


def test_a_file(tmp_path):
    path = tmp_path / "x.h5ad"
    path.write_bytes(b"counts")
    sums = input_sums(path)
    assert sums == [("x.h5ad", 6, subprocess.check_output(["sha256sum", path], text=True).split()[0])]
    assert combined(sums) == sums[0].sha256


def test_a_folder_has_the_sum_of_the_lines_of_sha256sum(tmp_path):
    folder = tmp_path / "matrix"
    (folder / "sub").mkdir(parents=True)
    for name in ("b.tsv", "a.tsv", "sub/c.tsv"):
        (folder / name).write_text(name)
    names = ["matrix/a.tsv", "matrix/b.tsv", "matrix/sub/c.tsv"]
    lines = subprocess.check_output(["sha256sum", *names], cwd=tmp_path)
    found = input_sums(folder)
    assert [item.name for item in found] == names
    assert combined(found) == hashlib.sha256(lines).hexdigest()


def test_a_name_cannot_break_the_table(tmp_path):
    path = tmp_path / "a\tb\nc.csv"
    path.write_text("x")
    write_sums("s", input_sums(path), tmp_path)
    rows = [line.split("\t") for line in (tmp_path / "s.inputs.tsv").read_text().splitlines()]
    assert rows[0] == ["sample", "file", "bytes", "sha256"] and len(rows) == 2 and len(rows[1]) == 4
