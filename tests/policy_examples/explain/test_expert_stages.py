from dataclasses import replace

import numpy as np
import pytest

from policy_examples import demos
from policy_examples.explain.expert_stages import expert_stages

pytestmark = pytest.mark.usefixtures("rendering")

AFTER = 3


@pytest.fixture(scope="module")
def opened(rendering):
    """Two demonstrations of door-open, whose expert goes above the handle, down to it, then pulls."""
    config = demos.Config("door-open", episodes=2, image_size_px=32, render="fast", steps_after_success=AFTER)
    return demos.collect(config)


def test_the_expert_of_door_open_has_three_stages_that_never_go_back(opened):
    staging = expert_stages(opened, "door-open")
    assert len(staging.meanings) == 3
    assert all("sawyer_door_open_v3_policy.py" in meaning for meaning in staging.meanings)
    for stages in staging.stages:
        assert np.unique(stages).tolist() == [0, 1, 2]
        assert (np.diff(stages) >= 0).all()
    assert 0 <= staging.disagreement < 0.2


def test_stages_end_with_the_first_solved_step(opened):
    lengths = np.diff(opened.episode_ends, prepend=0)
    assert [len(stages) for stages in expert_stages(opened, "door-open").stages] == (lengths - AFTER).tolist()


def test_a_recording_that_goes_another_way_is_refused(opened):
    other = replace(opened, actions=-opened.actions)
    with pytest.raises(ValueError, match=r"seed \d+ of mine: at step \d+ the hand is .* cm from .* `--stages time`"):
        expert_stages(other, "mine")


def test_other_peoples_demonstrations_are_refused_with_what_works_for_them(opened):
    with pytest.raises(ValueError, match="got mine of an unknown simulator; `--stages time` cuts any demonstrations"):
        expert_stages(replace(opened, origin={}), "mine")


def test_an_expert_without_branches_is_refused():
    config = demos.Config("reach", episodes=1, image_size_px=32, render="fast", steps_after_success=0)
    with pytest.raises(ValueError, match="expected two or more, got 1.*The expert of reach has no more"):
        expert_stages(demos.collect(config), "reach")
