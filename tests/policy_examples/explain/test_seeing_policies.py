import json

import pytest
import torch

from policy_examples.encoders import load_encoder
from policy_examples.explain.seeing_policies import seeing_policies
from policy_examples.policy import DiffusionPolicy
from policy_examples.policy_shape import PolicyShape

SIZES = {"horizon": 4, "observation_steps": 2, "action_steps": 3, "channels": (8,)}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs that read images, with their settings as `xdistill finetune` writes them, one that is blind."""
    folder = tmp_path_factory.mktemp("runs")
    torch.manual_seed(0)
    for name in ("a/seed-0", "a/seed-1", "b"):
        encoder, cameras = (
            (load_encoder("blind"), ()) if name == "b" else (load_encoder("resnet18-scratch"), ("image",))
        )
        policy = DiffusionPolicy(PolicyShape(9, 4, **SIZES, cameras=cameras), [encoder])
        policy.save(folder / name / "policy", {})
        (folder / name / "config.json").write_text(json.dumps({"config": {"seed": 0}}))
    return folder


def test_a_run_is_its_policy(runs):
    assert seeing_policies([runs / "a/seed-0"]) == seeing_policies([runs / "a/seed-0/policy"])
    assert seeing_policies([runs / "a/seed-0"]) == [runs / "a/seed-0/policy"]


def test_a_folder_of_runs_is_searched_and_what_reads_no_image_is_left_out(runs, capsys):
    assert seeing_policies([runs]) == [runs / "a/seed-0/policy", runs / "a/seed-1/policy"]
    assert capsys.readouterr().out == f"left out: {runs}/b/policy, which reads no camera\n"


def test_a_policy_that_is_named_twice_comes_once(runs):
    assert len(seeing_policies([runs / "a/seed-0/policy", runs / "a"])) == 2


def test_a_policy_that_reads_no_image_is_refused_with_what_it_reads(runs):
    with pytest.raises(ValueError, match=r"the one in .*b/policy reads no camera; train one with `xdistill finetune"):
        seeing_policies([runs / "b/policy"])


def test_a_folder_without_policies_and_a_run_that_has_not_ended_say_how_one_is_made(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"config": {"seed": 0}}))
    with pytest.raises(ValueError, match=r"holds no policy that reads images; `xdistill finetune --output .* it ends"):
        seeing_policies([tmp_path])
    with pytest.raises(ValueError, match=r"policies: there is no .*none; `xdistill finetune --demos DEMOS"):
        seeing_policies([tmp_path / "none"])
