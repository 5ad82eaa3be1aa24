import json
import sys

import numpy as np
import pytest
import torch

from policy_examples import rollout
from policy_examples.demos import FIRST_EVALUATION_SEED
from policy_examples.encoders import load_encoder
from policy_examples.envs.metaworld import MetaWorld
from policy_examples.policy import DiffusionPolicy, PolicyShape

ORIGIN = {"env": "metaworld", "task": "reach", "render": "fast", "image_size_px": 32, "seeds": [0, 1]}


@pytest.fixture(scope="module")
def policy():
    torch.manual_seed(0)
    shape = PolicyShape("group", 9, 4, horizon=8, observation_steps=2, action_steps=6, channels=(16, 32))
    return DiffusionPolicy(shape, load_encoder("resnet18-scratch", None, "group")).eval()


@pytest.fixture
def env(rendering):
    with MetaWorld("reach", image_size_px=32, render="fast") as env:
        yield env


def test_an_episode_repeats_exactly(policy, env):
    frames = [[], []]
    episodes = [rollout.play(policy, env, FIRST_EVALUATION_SEED, seen) for seen in frames]
    assert episodes[0] == episodes[1]
    assert np.array_equal(frames[0], frames[1])


def test_only_the_frames_that_the_policy_reads_are_rendered(policy, env):
    """A failed episode: one frame at the reset, then two after each of 33 whole chunks of 6 actions in 200 steps."""
    episode = rollout.play(policy, env, FIRST_EVALUATION_SEED)
    assert episode == rollout.Episode(FIRST_EVALUATION_SEED, success=False, steps=200)
    assert env.frames_rendered == 1 + 2 * 33


def test_seeds_that_placed_demonstrations_are_refused():
    with pytest.raises(ValueError, match=r"seed: \[1\] placed the objects of demonstrations; start at 1000000"):
        rollout.require_unseen(range(1, 5), ORIGIN)
    rollout.require_unseen(range(FIRST_EVALUATION_SEED, FIRST_EVALUATION_SEED + 20), ORIGIN)


def test_the_command_writes_an_episode_a_line_and_a_video(policy, tmp_path, monkeypatch, capsys, rendering):
    policy.save(tmp_path / "policy", ORIGIN)
    arguments = ["--policy", f"{tmp_path}/policy", "--output", f"{tmp_path}/out", "--episodes", "2"]
    monkeypatch.setattr(sys, "argv", ["xdistill rollout", *arguments])
    rollout.main()
    lines = [json.loads(line) for line in (tmp_path / "out/episodes.jsonl").read_text().splitlines()]
    assert [line["seed"] for line in lines] == [FIRST_EVALUATION_SEED, FIRST_EVALUATION_SEED + 1]
    assert (tmp_path / "out/episode.mp4").read_bytes()[4:8] == b"ftyp"
    assert "of 2 episodes" in capsys.readouterr().out

    with pytest.raises(SystemExit, match=r"^xdistill rollout: output: .*/out holds the episodes of another rollout"):
        rollout.main()
    assert len((tmp_path / "out/episodes.jsonl").read_text().splitlines()) == 2


def test_a_policy_of_unknown_origin_needs_a_task():
    with pytest.raises(ValueError, match="task: the policy's demonstrations do not say it; give it on"):
        dict(rollout.settings(rollout.Config(), origin={}))
