import pytest

from policy_examples.formats.episodes import require_rate, require_same_order

LEARNED = {"cameras": {"img": "front", "img_wrist": "wrist"}, "state_names": ["x", "y"], "action_names": ["dx", "grip"]}


@pytest.mark.parametrize(
    ("shown", "message"),
    [
        ({"cameras": {"img": "wrist", "img_front": "front"}}, "the cameras front, wrist, in this order, these have"),
        ({"state_names": ["y", "x"]}, "the state_names x, y, in this order, these have y, x; .* with --selection"),
        ({"action_names": ["grip", "dx"]}, "the action_names dx, grip, in this order, these have grip, dx"),
    ],
)
def test_what_would_be_taken_for_something_else_is_refused(shown, message):
    with pytest.raises(ValueError, match=message):
        require_same_order(LEARNED, LEARNED | shown, ["image", "image_wrist"])


def test_a_camera_that_lies_there_under_another_key_is_refused_even_if_the_policy_reads_one_alone():
    shown = {"cameras": {"img": "wrist", "img_front": "front"}}
    with pytest.raises(ValueError, match="the cameras front, in this order, these have wrist"):
        require_same_order({"cameras": {"img": "front"}}, shown, ["image"])


@pytest.mark.parametrize(
    "shown", [LEARNED, {}, {"cameras": {"img": "overhead"}, "state_names": ["joint 1", "joint 2"]}]
)
def test_other_names_may_mean_the_same(shown):
    require_same_order(LEARNED, shown, ["image"])
    require_same_order({}, shown, ["image"])


@pytest.mark.parametrize("fps", [0, -5, float("nan"), float("inf"), "30", True])
def test_a_rate_at_which_no_loop_can_run_is_refused(fps):
    with pytest.raises(ValueError, match="fps: expected a number above 0, got .* in info.json"):
        require_rate(fps, "info.json")
    require_rate(30, "info.json")
    require_rate(29.97, "info.json")
    require_rate(None, "info.json")
