"""Blocks that are made ahead and worked on side by side."""

import threading

import pytest
from sccicl.runtime.prefetch import map_in_order, n_threads, prefetch


def test_order_is_kept():
    assert list(prefetch(iter(range(20)))) == list(range(20))
    assert list(map_in_order(lambda x: x**2, range(20))) == [x**2 for x in range(20)]
    assert list(prefetch(iter([]))) == list(map_in_order(str, [])) == []


def test_errors_of_the_source_and_of_the_work_arrive():
    def broken():
        yield 1
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        list(prefetch(broken()))
    with pytest.raises(OSError, match="no more"):
        list(map_in_order(str, broken()))
    with pytest.raises(ZeroDivisionError):
        list(map_in_order(lambda x: 1 / x, [1, 0]))


def test_one_item_is_made_while_another_is_worked_on():
    second_is_made = threading.Event()

    def items():
        yield 1
        second_is_made.set()
        yield 2

    for _ in prefetch(items()):
        assert second_is_made.wait(10)


def test_few_items_are_held_at_a_time(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert n_threads() == 1
    made = []
    for done in map_in_order(lambda x: x, (made.append(x) or x for x in range(50))):
        assert len(made) - done <= 3
