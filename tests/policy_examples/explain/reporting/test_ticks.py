import pytest

from policy_examples.explain.reporting.ticks import linear_ticks, log_ticks, tick_text


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 600, [0, 200, 400, 600]),
        (3, 8, [3, 4, 5, 6, 7, 8]),
        (-1, 1, [-1, -0.5, 0, 0.5, 1]),
    ],
)
def test_linear_ticks_are_round_numbers_within_the_range(low, high, ticks):
    assert linear_ticks(low, high) == pytest.approx(ticks)


def test_log_ticks_are_powers_of_ten_and_finer_where_these_are_few():
    assert log_ticks(0.001, 1) == pytest.approx([0.001, 0.01, 0.1, 1])
    assert log_ticks(0.03, 0.4) == pytest.approx([0.05, 0.1, 0.2])


def test_a_tick_says_thousands_and_millions_in_a_letter():
    assert [tick_text(value) for value in (0.05, 0, 200, 20_000, 1_500_000)] == ["0.05", "0", "200", "20k", "1.5M"]
