"""Numbers of clusters as the step fit takes them."""

import pytest
from sccicl.errors import InputError
from sccicl.steps.fit import parse_numbers


@pytest.mark.parametrize(
    ("text", "expected"),
    [("5", (5, ())), ("auto", ("auto", ())), ("5, 8,8,5,3", (5, (8, 3))), ("auto,4", ("auto", (4,)))],
)
def test_numbers_of_clusters(text, expected):
    assert parse_numbers(text, 20) == expected


@pytest.mark.parametrize(("text", "told"), [("5,auto", "only be the first"), ("5,,8", "''"), ("5,21", "only 20 cells")])
def test_wrong_numbers_of_clusters(text, told):
    with pytest.raises(InputError, match=told):
        parse_numbers(text, 20)
