import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from policy_examples.encoders import load_encoder
from policy_examples.explain.feature_columns import columns, demonstrations_of, learned_from, require_own
from policy_examples.formats.episodes import Selection
from policy_examples.policy import DiffusionPolicy
from policy_examples.policy_shape import PolicyShape

SIZES = {"horizon": 8, "observation_steps": 2, "action_steps": 6, "channels": (8,)}


@pytest.fixture
def shown():
    """(3, 3, 64, 64) uint8 noise."""
    return torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def run(tmp_path):
    """A run of seed 5 whose encoder moved from its random start, and sees the middle 48 x 48 px."""
    torch.manual_seed(5)
    encoder = load_encoder("resnet18-scratch")
    policy = DiffusionPolicy(PolicyShape(9, 4, **SIZES, crop_px=48), [encoder])
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.mul_(1.1)
    folder = tmp_path / "door-open"
    policy.save(folder / "policy", {"image_size_px": 64, "checkpoint": None})
    (folder / "config.json").write_text(json.dumps({"config": {"seed": 5, "demos": "door-open.zarr"}}))
    return folder


def features(encoder, images) -> np.ndarray:
    with torch.inference_mode():
        return encoder.eval()(images[:, None])[:, 0].numpy()


def test_features_are_those_that_the_policy_would_read(shown):
    (column,) = columns(["xdistill"], [], seed=0)
    assert column.name == "xdistill"
    np.testing.assert_array_equal(column.features(shown), features(load_encoder("xdistill"), shown))


def test_an_encoder_can_be_of_another_checkpoint(shown, random_encoder, tmp_path):
    folder = random_encoder().save_pretrained(tmp_path / "mine")
    one, other = columns(["xdistill", f"xdistill={folder}"], [], seed=0)
    assert other.name == "xdistill mine"
    expected = features(load_encoder("xdistill", str(folder)), shown)
    np.testing.assert_array_equal(other.features(shown), expected)
    assert not np.array_equal(one.features(shown), expected)


def test_random_weights_are_those_of_the_seed(shown):
    first, again, other = (columns(["resnet18-scratch"], [], seed)[0].features(shown) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_policys_encoder_is_seen_before_its_fine_tuning_and_after_it(run, shown):
    before, after = columns([], [run / "policy"], seed=0)
    assert [before.name, after.name] == ["door-open, before, middle 48 x 48 px", "door-open, after, middle 48 x 48 px"]
    middle = shown[..., 8:56, 8:56]
    found = before.features(shown)
    torch.manual_seed(5)
    np.testing.assert_array_equal(found, features(load_encoder("resnet18-scratch"), middle))
    trained = DiffusionPolicy.load(run / "policy")[0].encoder_of(0)
    np.testing.assert_array_equal(after.features(shown), features(trained, middle))


def test_a_run_stands_for_its_policy_and_runs_go_by_what_of_their_paths_differs(run, tmp_path):
    assert [column.name for column in columns([], [run], 0)] == [
        column.name for column in columns([], [run / "policy"], 0)
    ]
    assert demonstrations_of([run]) == ((Path("door-open.zarr"), Selection()),)
    shutil.copytree(run, tmp_path / "other" / "door-open")
    names = [column.name for column in columns([], [run, tmp_path / "other"], 0)]
    runs = ("door-open", "other/door-open")
    assert names == [f"{run}, {when}, middle 48 x 48 px" for run in runs for when in ("before", "after")]


def test_the_random_start_of_a_policy_without_its_run_is_refused(run, shown):
    (run / "config.json").unlink()
    with pytest.raises(
        ValueError, match=r"started from random weights, whose seed is in the run's config\.json beside it"
    ):
        columns([], [run / "policy"], seed=0)[0].features(shown)


def test_a_run_says_which_demonstrations_its_policy_learned_from(run):
    assert demonstrations_of([run / "policy", run / "policy"]) == ((Path("door-open.zarr"), Selection()),)
    (run / "config.json").unlink()
    with pytest.raises(ValueError, match=r"config\.json beside it, which cannot be read .*; name them with --demos"):
        demonstrations_of([run / "policy"])


def test_other_demonstrations_at_the_place_of_a_policys_own_are_refused(run):
    policy, _ = DiffusionPolicy.load(run / "policy")
    policy.save(run / "policy", {"task": "door-open", "seeds": [0, 1]})
    fact = {"demos": "door-open.zarr", "origin": {"task": "door-open", "seeds": [0, 1]}}
    require_own([run], [fact])
    assert learned_from([run], [fact]) == [str(run / "policy")]
    others = [
        fact | {"origin": {"task": task, "seeds": seeds}} for task, seeds in (("reach", [0, 1]), ("door-open", [2]))
    ]
    for other in others:
        with pytest.raises(
            ValueError, match=r"door-open.zarr are not what .* learned from \(task door-open, seeds \[0, 1\]"
        ):
            require_own([run], [other])
        assert learned_from([run], [other]) == []


def test_of_demonstrations_is_shown_what_the_policy_read(run):
    chosen = {"cameras": ["img_wrist"], "state": [], "action": None, "filter": "train", "image_size_px": None}
    config = {"seed": 5, "demos": "door-open.zarr", "selection": chosen}
    (run / "config.json").write_text(json.dumps({"config": config}))
    expected = Selection(cameras=("img_wrist",), filter="train")
    assert demonstrations_of([run]) == ((Path("door-open.zarr"), expected),)


def test_runs_of_one_task_with_demonstrations_of_their_own_are_told_to_name_some(run, tmp_path):
    other = shutil.copytree(run, tmp_path / "other")
    for folder, demos in ((run, "seed-0.zarr"), (other, "seed-1.zarr")):
        policy, _ = DiffusionPolicy.load(folder / "policy")
        policy.save(folder / "policy", {"task": "door-open"})
        (folder / "config.json").write_text(json.dumps({"config": {"seed": 5, "demos": demos}}))
    with pytest.raises(
        ValueError, match="of door-open learned from different .*, seed-0.zarr, seed-1.zarr; .* --demos"
    ):
        demonstrations_of([run, other])


def test_the_best_policy_of_a_run_stands_beside_its_last_one(run):
    shutil.copytree(run / "policy", run / "best")
    names = [column.name for column in columns([], [run / "policy", run / "best"], 0)]
    assert len(set(names)) == 4
    assert {f"door-open/best, {when}, middle 48 x 48 px" for when in ("before", "after")} <= set(names)


def test_another_start_than_the_policy_had_is_not_shown_as_it(tmp_path, shown):
    encoder = load_encoder("xdistill")
    encoder.saved["origin"] = "an-earlier-default"
    DiffusionPolicy(PolicyShape(9, 4, **SIZES), [encoder]).save(tmp_path / "policy", {"checkpoint": None})
    before, _ = columns([], [tmp_path / "policy"], seed=0)
    with pytest.raises(ValueError, match="started from 'an-earlier-default', its checkpoint holds 'resnet18-bn"):
        before.features(shown)


def test_weights_that_replaced_those_of_a_policy_are_not_shown_as_its_start(tmp_path, shown):
    encoder = load_encoder("xdistill")
    now = encoder.saved["weights_sha256"]
    encoder.saved["weights_sha256"] = "0" * 64
    DiffusionPolicy(PolicyShape(9, 4, **SIZES), [encoder]).save(tmp_path / "policy", {"checkpoint": None})
    before, _ = columns([], [tmp_path / "policy"], seed=0)
    with pytest.raises(ValueError, match=f"sha256 000000000000..., whose weights are others now, {now[:12]}"):
        before.features(shown)


def test_frames_of_another_size_than_a_policy_learned_from_are_refused(run, shown):
    with pytest.raises(ValueError, match=r"learned from frames of \(64, 64\) px, got \(32, 32\); resize"):
        columns([], [run / "policy"], seed=0)[1].features(shown[..., :32, :32])


def test_an_encoder_that_reads_no_images_is_refused(shown, tmp_path):
    with pytest.raises(ValueError, match="encoders: blind reads nothing"):
        columns(["blind"], [], seed=0)[0].features(shown)
    DiffusionPolicy(PolicyShape(9, 4, **SIZES, cameras=()), [load_encoder("blind")]).save(tmp_path / "policy", {})
    with pytest.raises(ValueError, match="expected policies that read images, the one in .* reads no camera"):
        columns([], [tmp_path / "policy"], seed=0)


def test_an_unknown_encoder_is_refused_with_those_that_are_known(shown):
    with pytest.raises(ValueError, match="accepted are xdistill, resnet18-scratch, .*; got 'resnet'"):
        columns(["resnet"], [], seed=0)[0].features(shown)


@pytest.mark.parametrize(("encoders", "named"), [([], "got none"), (["xdistill", "xdistill"], "got xdistill twice")])
def test_each_encoder_comes_once(encoders, named):
    with pytest.raises(ValueError, match=named):
        columns(encoders, [], seed=0)
