"""Damaged Matrix Market files are refused, those that scipy's reader does not survive too."""

import gzip

import numpy as np
import pytest
from sccicl.errors import InputError
from sccicl.io.matrix_market import read_matrix_market

WHOLE = b"%%MatrixMarket matrix coordinate integer general\n%\n3 2 3\n1 1 5\n3 1 2\n2 2 7\n"
VALUES = [[5, 0], [0, 7], [2, 0]]


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("text", [WHOLE, WHOLE[:-1], WHOLE + b"\n"])
def test_whole_files_with_and_without_a_last_end_of_line(tmp_path, text, zipped):
    path = tmp_path / ("matrix.mtx.gz" if zipped else "matrix.mtx")
    path.write_bytes(gzip.compress(text) if zipped else text)
    np.testing.assert_array_equal(read_matrix_market(path).toarray(), VALUES)


@pytest.mark.parametrize(
    "text",
    [
        WHOLE.replace(b"1 2\n2", b"1 2\0\n2"),
        WHOLE + b"\0" * 4096,
        WHOLE[:-8],
        WHOLE.replace(b"3 1 2", b"4 1 2"),
        b"",
    ],
)
def test_damaged_files(tmp_path, text):
    path = tmp_path / "matrix.mtx"
    path.write_bytes(text)
    with pytest.raises(InputError, match=r"matrix.mtx is not a complete Matrix Market file .*: copy or write it again"):
        read_matrix_market(path)


@pytest.mark.parametrize("last", [b"2 2 7 1", b"2 2 7e99"])
def test_what_follows_the_numbers_of_a_line_is_passed_over(tmp_path, last):
    """The reader alone does not survive these."""
    path = tmp_path / "matrix.mtx"
    path.write_bytes(WHOLE[:-6] + last)
    np.testing.assert_array_equal(read_matrix_market(path).toarray(), VALUES)
