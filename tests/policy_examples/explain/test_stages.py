from itertools import combinations_with_replacement

import numpy as np
import pytest

from policy_examples.explain.stages import equal_parts, never_falling, stages_of_labels


def test_parts_of_equal_duration_differ_by_a_step_at_most():
    staging = equal_parts([7, 6], 3)
    assert [episode.tolist() for episode in staging.stages] == [[0, 0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 2, 2]]
    assert staging.meanings[0] == "part 1 of 3 of the time"


@pytest.mark.parametrize(("lengths", "parts", "named"), [([9], 1, "2 or more, got 1"), ([9, 2], 3, "has 2 steps")])
def test_impossible_parts_are_refused(lengths, parts, named):
    with pytest.raises(ValueError, match=named):
        equal_parts(lengths, parts)


def test_no_sequence_that_never_falls_is_closer_to_the_labels():
    random = np.random.default_rng(0)
    for _ in range(50):
        labels = random.integers(-1, 3, 7)
        fitted = never_falling(labels, 3)
        assert (np.diff(fitted) >= 0).all()
        best = min((labels != np.array(other)).sum() for other in combinations_with_replacement(range(3), 7))
        assert (labels != fitted).sum() == best


def test_stages_are_monotone_in_time_where_an_expert_turns_back_for_a_step():
    staging = stages_of_labels(["zzzyzyyxxx"])
    assert staging.stages[0].tolist() == [0, 0, 0, 0, 0, 1, 1, 2, 2, 2]
    assert staging.meanings == ("z", "y", "x")
    assert staging.disagreement == 1 / 10


def test_stages_are_ordered_by_their_times_in_all_episodes():
    staging = stages_of_labels(["bbaac", "baacc"])
    assert staging.meanings == ("b", "a", "c")
    assert [episode.tolist() for episode in staging.stages] == [[0, 0, 1, 1, 2], [0, 1, 1, 2, 2]]
    assert staging.disagreement == 0


def test_what_an_expert_hardly_ever_does_is_no_stage():
    staging = stages_of_labels(["a" * 50 + "r" + "b" * 49])
    assert staging.meanings == ("a", "b")
    assert staging.disagreement == 1 / 100


def test_a_single_stage_is_refused():
    with pytest.raises(ValueError, match="expected two or more, got 1: a"):
        stages_of_labels(["aaaa"])
