import pytest

from policy_examples.explain.reporting.successes import Success, percent, percent_range, wilson

Z2 = 3.841459  # of 95 %, squared


@pytest.mark.parametrize("episodes", [1, 20, 1000])
def test_where_all_episodes_are_solved_the_lower_end_is_one_over_one_plus_z_squared_over_n(episodes):
    low, high = wilson(episodes, episodes)
    assert low == pytest.approx(1 / (1 + Z2 / episodes), rel=1e-6)
    assert high == pytest.approx(1)
    assert wilson(0, episodes) == pytest.approx((1 - high, 1 - low))


@pytest.mark.parametrize(("solved", "episodes"), [(1, 20), (17, 20), (50, 100)])
def test_the_ends_are_the_rates_that_lie_z_of_their_own_deviations_from_what_was_seen(solved, episodes):
    for end in wilson(solved, episodes):
        assert (solved / episodes - end) ** 2 == pytest.approx(Z2 * end * (1 - end) / episodes, rel=1e-6)


def test_wilson_refuses_rates_of_nothing():
    with pytest.raises(ValueError, match="episodes: expected 1 or more with 0 to all of them solved, got 3 of 2"):
        wilson(3, 2)
    with pytest.raises(ValueError, match="got 0 of 0"):
        wilson(0, 0)


def test_a_success_has_its_rate_and_its_interval():
    success = Success("finished policy", 17, 20)
    assert success.rate == 0.85
    assert percent_range(*success.interval) == "64 to 95 %"


def test_percents_are_whole_unless_that_hides_something():
    assert [percent(share) for share in (0, 0.85, 1, 13 / 15)] == ["0 %", "85 %", "100 %", "86.7 %"]
