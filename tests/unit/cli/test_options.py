"""How options are read."""

from pathlib import Path

import pytest
from sccicl.cli.options import sample_id


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.h5ad", "a"),
        ("a.b.prepared.h5ad", "a.b"),
        ("counts.csv.gz", "counts"),
        ("s1.clustered.h5ad", "s1"),
        ("mtx", "mtx"),
    ],
)
def test_sample_id(name, expected):
    assert sample_id(Path(name), None) == expected
