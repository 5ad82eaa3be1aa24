import json
from dataclasses import replace

import pytest

from policy_examples import demo

pytestmark = pytest.mark.usefixtures("rendering")


def test_the_demo_leaves_policy_episodes_curve_and_video_in_the_folder_it_names(tmp_path, capsys):
    config = demo.Config(
        task="reach", output=tmp_path / "demo", encoder="resnet18-scratch", steps=2, episodes=1, image_size_px=32
    )
    success = demo.run(config)
    printed = capsys.readouterr().out
    assert str(tmp_path / "demo") in printed
    assert all(f"[{stage}/4]" in printed for stage in (1, 2, 3, 4))
    episodes = [json.loads(line) for line in (tmp_path / "demo/episodes.jsonl").read_text().splitlines()]
    assert success == episodes[0]["success"]
    video = "success.mp4" if success else "failure.mp4"
    for name in ("learning_curve.png", video, "policy/model.safetensors", "demonstrations.zarr/.zgroup"):
        assert (tmp_path / "demo" / name).exists()

    store = tmp_path / "demo/demonstrations.zarr"
    for changes, message in (
        ({"task": "drawer-open"}, f"with task 'drawer-open' in {store}, got task 'reach'"),
        ({"seed": 1}, f"with first_seed 1000 in {store}, got first_seed 0"),
    ):
        with pytest.raises(ValueError, match=message):
            demo.run(replace(config, **changes))


def test_demonstrations_end_soon_after_success_but_for_tasks_that_are_judged_at_the_end():
    asked = {task: demo.demonstrations_config(demo.Config(task=task)) for task in ("drawer-open", "adroit-door")}
    assert {task: config.steps_after_success for task, config in asked.items()} == {
        "drawer-open": 10, "adroit-door": None
    }  # fmt: skip
