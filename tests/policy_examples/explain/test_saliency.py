import csv
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from policy_examples.encoders import load_encoder
from policy_examples.explain import saliency
from policy_examples.explain.attribution.gradients import Target
from policy_examples.explain.attribution.recording import Recording
from policy_examples.formats.episodes import Selection
from policy_examples.policy import DiffusionPolicy
from policy_examples.policy_shape import PolicyShape
from policy_examples.store import save_demonstrations

SIZES = {"horizon": 16, "observation_steps": 2, "action_steps": 12, "channels": (16, 32), "inference_steps": 2}
ORIGIN = {"env": "metaworld", "task": "coffee-button", "render": "fast", "image_size_px": 32, "seeds": [0, 1]}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder of two runs, of two encoders; actions lie close to straight ahead."""
    folder = tmp_path_factory.mktemp("runs")
    for name in ("resnet18-scratch", "xdistill"):
        torch.manual_seed(0)
        policy = DiffusionPolicy(PolicyShape(9, 4, **SIZES), [load_encoder(name)])
        policy.actions.fit(torch.tensor([[-0.02, 0.9, -0.02, -1.0], [0.02, 1.0, 0.02, -0.9]]))
        policy.save(folder / name / "policy", ORIGIN)
    return folder


def explain(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["xdistill explain saliency", *map(str, arguments)])
    saliency.main()


def test_the_command_shows_all_encoders_the_same_episode_and_repeats_exactly(
    runs, tmp_path, monkeypatch, capsys, rendering
):
    options = ["--policies", runs, "--every", 40, "--noises", 2]
    explain(monkeypatch, *options, "--output", tmp_path / "first")
    printed = capsys.readouterr().out
    with (tmp_path / "first/saliency.csv").open() as file:
        rows = list(csv.DictReader(file))
    steps = sorted({int(row["step"]) for row in rows})
    assert steps == list(range(0, 40 * len(steps), 40))
    keys = {(row["method"], row["encoder"]) for row in rows}
    assert keys == {(m, e) for m in ("grad-cam", "input-gradient") for e in ("resnet18-scratch", "xdistill")}
    assert len(rows) == 4 * len(steps)
    assert all(0 <= float(row["share"]) <= 1 for row in rows if row["method"] == "input-gradient")
    assert len({(row["step"], row["area"]) for row in rows}) == len(steps)

    for name in ("strip.png", "over_time.png", "saliency.mp4"):
        assert (tmp_path / "first" / name).stat().st_size > 1000
    summary = json.loads((tmp_path / "first/summary.json").read_text())
    assert summary["command"].startswith("xdistill explain saliency --policies")
    assert summary["frames"] == "coffee-button, seed 1000000, played by the first policy"
    assert len(summary["means"]) == 4
    assert set(summary["policies"]) == {"resnet18-scratch", "xdistill"}
    assert "on task objects, which are" in printed

    explain(monkeypatch, *options, "--output", tmp_path / "second")
    assert (tmp_path / "second/saliency.csv").read_text() == (tmp_path / "first/saliency.csv").read_text()


def test_frames_of_demonstrations_need_no_simulator(runs, tmp_path, demonstrations):
    """Random frames, of which nobody can say where objects are."""
    save_demonstrations(replace(demonstrations, origin={}), tmp_path / "demos.zarr")
    folders = {"policies": (runs / "xdistill/policy",), "output": tmp_path / "out", "demos": tmp_path / "demos.zarr"}
    rows = saliency.run(saliency.Config(**folders, episode=1, masks=False, every=4, target="loss", noises=1))
    assert [(row.step, row.method) for row in rows] == [
        (step, method) for method in ("grad-cam", "input-gradient") for step in (0, 4, 8)
    ]
    assert {row.share for row in rows} == {None}
    written = {"strip.png", "over_time.png", "saliency.mp4", "saliency.csv", "summary.json"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == written


def test_what_ends_before_its_end_leaves_no_folder(runs, tmp_path, demonstrations):
    save_demonstrations(replace(demonstrations, origin={}), tmp_path / "demos.zarr")
    config = saliency.Config(policies=(runs / "xdistill/policy",), output=tmp_path / "out/saliency", masks=False)
    with pytest.raises(ValueError, match="episode: .* has episodes 0 to 1, got 7"):
        saliency.run(replace(config, demos=tmp_path / "demos.zarr", episode=7))
    assert list((tmp_path / "out").iterdir()) == []


def test_a_place_that_cannot_be_written_is_said_before_anything_is_computed(runs, monkeypatch):
    with pytest.raises(SystemExit, match=r"^xdistill explain saliency: .*/proc/nothing"):
        explain(monkeypatch, "--policies", runs, "--output", "/proc/nothing/saliency")


def test_a_folder_that_exists_is_not_written_to(runs, tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match=r"^xdistill explain saliency: output: .* exists already"):
        explain(monkeypatch, "--policies", runs, "--output", tmp_path)


def test_a_policy_that_does_not_say_its_task_is_shown_demonstrations(runs, tmp_path):
    policy, _ = DiffusionPolicy.load(runs / "xdistill/policy")
    policy.save(tmp_path / "policy", {})
    with pytest.raises(ValueError, match=r"does not say which task it learned.* with --demos"):
        saliency.run(saliency.Config(policies=(tmp_path / "policy",), output=tmp_path / "out"))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"policies": ()}, "policies: expected one or more, got none"),
        ({"methods": ()}, "methods: expected one or more, got none"),
        ({"every": 0}, "every: expected 1 or more, got 0"),
        ({"demos": Path("d.zarr"), "shift": "light"}, "seed, shift: .* leave them out beside --demos"),
        ({"demos": Path("d.zarr"), "seed": 3}, "seed, shift: .* leave them out beside --demos"),
        ({"episode": 2}, "episode, selection: they are of demonstrations; name these with --demos"),
        ({"selection": Selection(cameras=("img",))}, "episode, selection: they are of demonstrations"),
    ],
)
def test_a_setting_that_explains_nothing_is_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        saliency.Config(**changed)


def test_frames_of_another_size_are_refused_with_both_sizes(runs):
    subject, _ = saliency.find_subjects([runs])
    frames = np.zeros((3, 48, 48, 3), np.uint8)
    recording = Recording(frames, np.zeros((3, 9), np.float32), np.zeros((3, 4), np.float32), None, "other frames")
    with pytest.raises(
        ValueError, match=r"learned from .*'image_size_px': 32.*other frames have .*'image_size_px': 48"
    ):
        saliency.require_fitting(subject, recording, Target(), "image")
    fitting = Recording(frames[:, :32, :32], recording.agent_pos, recording.actions, None, "frames")
    turned = replace(fitting, origin={"action_names": ["y", "x", "z", "grip"]})
    knows = replace(subject, origin=subject.origin | {"action_names": ["x", "y", "z", "grip"]})
    with pytest.raises(ValueError, match="the policy learned the action_names x, y, z, grip, in this order"):
        saliency.require_fitting(knows, turned, Target(), "image")
    saliency.require_fitting(subject, fitting, Target(), "image")
    with pytest.raises(ValueError, match="action_dimension: expected 0 to 3, .* got 4"):
        saliency.require_fitting(subject, fitting, Target("action", 4), "image")
    with pytest.raises(ValueError, match="camera: expected one that every policy reads, got 'image_wrist'; .* image"):
        saliency.require_fitting(subject, fitting, Target(), "image_wrist")


def test_missing_demonstrations_are_one_line_with_the_command_that_makes_them(runs, tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match=r"^xdistill explain saliency: demos: there is no .* with `xdistill demos --t"):
        explain(monkeypatch, "--policies", runs, "--demos", tmp_path / "none.zarr", "--output", tmp_path / "out")


@pytest.fixture
def two_cameras(demonstrations, tmp_path):
    """A policy of two cameras, demonstrations that show both."""
    torch.manual_seed(0)
    shape = PolicyShape(9, 4, **SIZES, cameras=("image", "image_wrist"))
    policy = DiffusionPolicy(shape, [load_encoder("resnet18-scratch")])
    policy.actions.fit(torch.tensor([[-1.0] * 4, [1.0] * 4]))
    policy.save(tmp_path / "policy", {"image_size_px": 32})
    wrist = {"wrist": 255 - demonstrations.images}
    save_demonstrations(replace(demonstrations, origin={}, cameras=wrist), tmp_path / "demos.zarr")
    save_demonstrations(replace(demonstrations, origin={}), tmp_path / "one.zarr")
    return tmp_path


def test_of_a_policy_that_reads_two_cameras_the_named_one_is_explained(two_cameras):
    shown = {"policies": (two_cameras / "policy",), "demos": two_cameras / "demos.zarr", "masks": False, "every": 4}
    found = {
        camera: saliency.run(saliency.Config(**shown, output=two_cameras / f"out-{camera}", camera=camera, noises=1))
        for camera in (None, "image", "image_wrist")
    }
    assert found[None] == found["image"]
    assert [row.entropy for row in found["image"]] != [row.entropy for row in found["image_wrist"]]


def test_cameras_that_nobody_shows_are_refused_with_what_to_do(two_cameras):
    named = {"policies": (two_cameras / "policy",), "output": two_cameras / "out"}
    with pytest.raises(ValueError, match=r"lacks image_wrist; show it frames of its own demonstrations with --demos"):
        saliency.run(saliency.Config(**named, demos=two_cameras / "one.zarr", masks=False))
    with pytest.raises(ValueError, match="masks: they are of the simulator's camera 'image'.* add --no-masks"):
        saliency.run(saliency.Config(**named, demos=two_cameras / "demos.zarr", camera="image_wrist"))
    DiffusionPolicy.load(two_cameras / "policy")[0].save(two_cameras / "policy", {"task": "reach"})
    with pytest.raises(ValueError, match=r"reads image, image_wrist, the simulator shows the camera 'image' alone"):
        saliency.run(saliency.Config(**named))
