from dataclasses import replace

import pytest

from policy_examples.benchmarking.selection import choose_protocol, require_equal_training
from tests.policy_examples.benchmarking.rows import row

FEW, MANY = row("xdistill", "reach", 0, 0.5), row("xdistill", "reach", 0, 0.6, demonstrations=50)
TRIAL = replace(FEW, steps=100, command="xdistill benchmark --tasks reach --steps 100")


def test_what_tells_protocols_apart_is_named_with_its_option():
    expected = (
        "^demonstrations: expected rows of one protocol, got preset cpu, 10 demonstrations, 20 episodes; preset cpu, "
        "50 demonstrations, 20 episodes; choose with --demonstrations.$"
    )
    with pytest.raises(ValueError, match=expected):
        choose_protocol([FEW, MANY])
    with pytest.raises(ValueError, match="^preset, demonstrations: .* choose with --preset or --demonstrations.$"):
        choose_protocol([FEW, replace(MANY, preset="dp3")])
    with pytest.raises(ValueError, match="^episodes: .* name only files of one number of episodes.$"):
        choose_protocol([FEW, replace(FEW, seed=1, episodes=50)])


def test_rows_are_chosen_by_demonstrations_and_steps():
    rows = [FEW, MANY, TRIAL]
    assert choose_protocol(rows, demonstrations=50) == [MANY]
    assert choose_protocol(rows, demonstrations=10, steps=600) == [FEW]
    assert choose_protocol(rows, demonstrations=10, steps=100) == [TRIAL]


def test_rows_are_chosen_by_precision():
    other = replace(FEW, precision="fp32")
    assert choose_protocol([FEW, other], precision="fp32") == [other]
    with pytest.raises(ValueError, match="expected rows of --precision fp32, got preset cpu"):
        choose_protocol([FEW], precision="fp32")


def test_rows_of_the_presets_own_length_are_chosen_whatever_that_is():
    """A preset of epochs has as many steps as a task's demonstrations make."""
    longer = replace(FEW, task="sweep", steps=900)
    assert choose_protocol([FEW, longer, TRIAL], steps="preset") == [FEW, longer]


def test_a_choice_that_no_row_has_lists_what_there_is():
    with pytest.raises(
        ValueError, match=r"expected rows of --preset dp3 --steps 7, got preset cpu, 10 demonstrations, "
    ):
        choose_protocol([FEW], preset="dp3", steps=7)


def label(found):
    return found.encoder


def test_encoders_evaluated_another_number_of_times_are_refused():
    rows = [FEW, row("blind", "reach", 0, 0.5, evaluations=8)]
    with pytest.raises(ValueError, match="evaluations: .* with seed 0, got 3 for xdistill and 8 for blind"):
        require_equal_training(rows, label)


def test_encoders_trained_in_another_precision_are_refused():
    rows = [FEW, row("blind", "reach", 0, 0.5, precision="fp32")]
    with pytest.raises(ValueError, match="precision: .* with seed 0, got bf16 for xdistill and fp32 for blind"):
        require_equal_training(rows, label)
    require_equal_training([FEW, replace(rows[1], seed=1)], label)
    with pytest.raises(ValueError, match="choose with --precision or leave one out with --encoders"):
        require_equal_training(rows, label)


def test_a_shift_is_one_evaluation_of_a_training_as_long_as_the_others():
    shifted = replace(FEW, shift="light", evaluations=1)
    require_equal_training([FEW, shifted], label)
    with pytest.raises(ValueError, match="steps: .* got 600 for xdistill and 100 for xdistill"):
        require_equal_training([FEW, replace(shifted, steps=100)], label)


def test_tasks_and_seeds_may_differ_in_steps():
    require_equal_training([FEW, replace(FEW, seed=1, steps=700), replace(FEW, task="sweep", steps=900)], label)
