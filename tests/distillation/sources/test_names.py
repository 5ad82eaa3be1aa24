import pickle

import pytest

from distillation.sources.names import Names


def test_names_come_back_in_their_order_whatever_their_letters():
    names = ["a/b.png", "", "Äpfel/雪.jpg", "\udcff.png"]  # the last: a byte that is no UTF-8
    kept = Names(names)
    assert [kept[index] for index in range(len(kept))] == names
    kept.append("one more")
    assert (len(kept), kept[4]) == (5, "one more")


def test_a_name_that_is_not_there_is_an_index_error():
    with pytest.raises(IndexError):
        Names(["a"])[1]


def test_many_names_travel_as_their_bytes():
    names = Names(f"{number:09}.jpg" for number in range(10_000))
    assert len(pickle.dumps(names)) < 10_000 * (13 + 8) * 1.1
