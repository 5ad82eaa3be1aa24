import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import psutil
import pytest
import torch

from policy_examples import rollout
from policy_examples.demos import FIRST_EVALUATION_SEED
from policy_examples.encoders import load_encoder
from policy_examples.envs.metaworld import MetaWorld
from policy_examples.envs.tasks import TaskConfig
from policy_examples.playing import PlayedEpisode, play
from policy_examples.policy import DiffusionPolicy
from policy_examples.policy_shape import PolicyShape

ROOT = Path(__file__).parents[2]
TASK = TaskConfig("coffee-button", image_size_px=32, render="fast")
SEEDS = range(FIRST_EVALUATION_SEED, FIRST_EVALUATION_SEED + 4)
ORIGIN = {"env": "metaworld", "task": "coffee-button", "render": "fast", "image_size_px": 32, "seeds": [0, 1]}


def pushing(name, camera=None):
    """A random policy whose actions lie close to straight ahead, which presses the coffee button in some episodes."""
    torch.manual_seed(0)
    cameras = () if camera is None else (camera,)
    sizes = {"horizon": 16, "observation_steps": 2, "action_steps": 12, "channels": (16, 32), "inference_steps": 2}
    shape = PolicyShape(9, 4, **sizes, cameras=cameras)
    policy = DiffusionPolicy(shape, [load_encoder(name)])
    policy.actions.fit(torch.tensor([[-0.02, 0.9, -0.02, -1.0], [0.02, 1.0, 0.02, -0.9]]))
    return policy.eval()


@pytest.fixture(scope="module")
def policy():
    return pushing("resnet18-scratch", "image")


@pytest.fixture(scope="module")
def blind():
    return pushing("blind")


@pytest.fixture
def env(rendering):
    with MetaWorld("coffee-button", image_size_px=32, render="fast") as env:
        yield env


def test_an_episode_repeats_exactly(policy, env):
    films = [[], []]
    episodes = [play(policy, env, SEEDS[0], film) for film in films]
    assert episodes[0] == episodes[1]
    assert np.array_equal(films[0], films[1])


def test_only_the_frames_that_the_policy_reads_are_rendered(policy, env):
    """A failed episode: one frame at the reset, then two after each of 16 whole chunks of 12 actions in 200 steps."""
    assert play(policy, env, SEEDS[2]) == PlayedEpisode(SEEDS[2], success=False, steps=200)
    assert env.frames_rendered == 1 + 2 * 16


def test_a_blind_policy_renders_nothing(blind, env):
    play(blind, env, SEEDS[0])
    assert env.frames_rendered == 0


def test_a_policy_that_reads_points_is_shown_points(rendering):
    task = replace(TASK, points=64)
    (episode,) = rollout.evaluate(pushing("pointnet-dp3", "point_cloud"), task, SEEDS[:1])
    assert episode.seed == SEEDS[0]
    with pytest.raises(ValueError, match="points: the policy reads point clouds"):
        rollout.evaluate(pushing("pointnet-dp3", "point_cloud"), TASK, SEEDS[:1])


def test_every_number_of_processes_gives_the_same_episodes(policy, tmp_path, rendering):
    alone = rollout.evaluate(policy, TASK, SEEDS, processes=0, log=tmp_path / "alone.jsonl")
    assert [episode.seed for episode in alone] == list(SEEDS)
    assert {episode.success for episode in alone} == {True, False}
    assert len({episode.steps for episode in alone if episode.success}) > 1

    log = tmp_path / "two.jsonl"
    assert rollout.evaluate(policy, TASK, SEEDS, processes=2, log=log) == alone
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {PlayedEpisode(**line) for line in lines} == set(alone)
    assert [line["seed"] for line in lines] != list(SEEDS)  # in the order in which they ended


def test_episodes_that_were_played_are_not_played_again(blind, tmp_path, rendering):
    log = tmp_path / "episodes.jsonl"
    played = [PlayedEpisode(seed, success=True, steps=1) for seed in SEEDS[1:]]
    episodes = rollout.evaluate(blind, TASK, SEEDS, log=log, played=played)
    assert [episode.seed for episode in episodes] == list(SEEDS)
    assert episodes[1:] == played
    assert [PlayedEpisode(**json.loads(line)) for line in log.read_text().splitlines()] == [*played, episodes[0]]
    assert rollout.evaluate(blind, TASK, SEEDS[1:], played=played) == played


def test_a_signal_to_the_whole_group_stops_an_evaluation_as_one_to_its_leader_does(blind, tmp_path, rendering):
    """As a scheduler's: the simulators' processes die of it while the evaluation is asked to stop."""
    log, asked = tmp_path / "episodes.jsonl", []

    def stop() -> bool:
        if not asked and log.read_text():
            asked.append(True)
            for process in psutil.Process().children(recursive=True):
                if "spawn_main" in " ".join(process.cmdline()):
                    process.terminate()
            return False  # its answer was on the way before the signal
        return bool(asked)

    episodes = rollout.evaluate(blind, TASK, SEEDS, processes=2, log=log, stop=stop)
    assert asked
    assert 0 < len(episodes) < len(SEEDS)
    assert len(log.read_text().splitlines()) == len(episodes)


def test_an_evaluation_that_is_told_to_stop_returns_the_episodes_that_have_ended(blind, tmp_path, rendering):
    log = tmp_path / "episodes.jsonl"
    episodes = rollout.evaluate(blind, TASK, SEEDS, log=log, stop=lambda: log.read_text() != "")
    assert [episode.seed for episode in episodes] == [SEEDS[0]]


@pytest.mark.parametrize("seeds", [[], [7, 8, 7]])
def test_seeds_are_given_and_each_once(blind, seeds):
    with pytest.raises(ValueError, match="seeds: expected one or more, each once, got"):
        rollout.evaluate(blind, TASK, seeds)


def test_a_success_and_a_failure_are_filmed_where_there_are_such(blind, env, tmp_path):
    episodes = [play(blind, env, seed) for seed in SEEDS]
    assert rollout.record(blind, env, episodes, tmp_path) == [tmp_path / "success.mp4", tmp_path / "failure.mp4"]
    shown = next(imageio_ffmpeg.read_frames(str(tmp_path / "failure.mp4")))
    assert shown["duration"] == pytest.approx(200 / 80, abs=0.05)  # real time: 200 steps, 80 a second
    solved = [episode for episode in episodes if episode.success]
    assert rollout.record(blind, env, solved, tmp_path) == [tmp_path / "success.mp4"]


def test_seeds_that_placed_demonstrations_are_refused():
    with pytest.raises(ValueError, match=r"seed: \[1\] placed the objects of demonstrations; start at 1000000"):
        rollout.require_unseen(range(1, 5), ORIGIN)
    rollout.require_unseen(SEEDS, ORIGIN)


def test_the_command_writes_an_episode_a_line_and_the_videos(policy, tmp_path, monkeypatch, capsys, rendering):
    policy.save(tmp_path / "policy", ORIGIN)
    arguments = ["--policy", f"{tmp_path}/policy", "--output", f"{tmp_path}/out", "--episodes", "2"]
    monkeypatch.setattr(sys, "argv", ["xdistill rollout", *arguments, "--shift", "camera"])
    rollout.main()
    lines = [json.loads(line) for line in (tmp_path / "out/episodes.jsonl").read_text().splitlines()]
    assert [line["seed"] for line in lines] == list(SEEDS[:2])
    assert (tmp_path / "out/success.mp4").exists() == any(line["success"] for line in lines)
    assert "of 2 episodes" in capsys.readouterr().out

    other = r"^xdistill rollout: output: .* holds the episodes of another rollout, shift 'camera' -> None; name"
    monkeypatch.setattr(sys, "argv", ["xdistill rollout", *arguments])
    with pytest.raises(SystemExit, match=other):
        rollout.main()
    (tmp_path / "out/rollout.json").unlink()
    with pytest.raises(SystemExit, match="holds the episodes of another rollout; name another folder"):
        rollout.main()
    assert len((tmp_path / "out/episodes.jsonl").read_text().splitlines()) == 2


def test_an_interrupted_rollout_goes_on_with_the_seeds_that_are_missing(blind, tmp_path, rendering):
    blind.save(tmp_path / "policy", ORIGIN)
    config = rollout.Config(policy=tmp_path / "policy", output=tmp_path / "out", episodes=4, video=False)
    undisturbed = rollout.run(config)
    ended, partial = config.output / "episodes.jsonl", config.output / "episodes.partial"
    assert not partial.exists()

    first, _, third, _ = ended.read_text().splitlines(keepends=True)
    marked = json.dumps({**json.loads(first), "steps": 7}) + "\n"  # no episode ends so early: it shows who was replayed
    partial.write_text(marked + third[:20])  # as a process leaves it that was killed while it wrote
    ended.unlink()
    continued = rollout.run(config)
    assert continued == [replace(undisturbed[0], steps=7), *undisturbed[1:]]
    assert [PlayedEpisode(**json.loads(line)) for line in ended.read_text().splitlines()] == continued
    assert rollout.run(config) == continued  # there is nothing left to do

    pushing("blind").save(tmp_path / "policy", {**ORIGIN, "step": 2})
    with pytest.raises(ValueError, match=r"holds the episodes of another rollout, policy '\w+' -> '\w+'; name another"):
        rollout.run(config)


def test_a_command_that_played_nothing_claims_no_folder(blind, tmp_path, rendering):
    blind.save(tmp_path / "policy", ORIGIN)
    config = rollout.Config(policy=tmp_path / "policy", output=tmp_path / "out", episodes=1, video=False)
    with pytest.raises(ValueError, match="unknown task"):
        rollout.run(replace(config, task="coffee-buton"))
    assert len(rollout.run(config)) == 1


def test_a_rollout_that_was_refused_before_its_first_episode_claims_no_folder(tmp_path):
    assert rollout.played_before(tmp_path, {"image_size_px": 64}) == []
    (tmp_path / "episodes.partial").touch()  # as it lies there once environments are open
    assert rollout.played_before(tmp_path, {"image_size_px": 128}) == []
    assert json.loads((tmp_path / "rollout.json").read_text()) == {"image_size_px": 128}


def test_a_demo_that_was_asked_for_more_episodes_goes_on_with_those_after_the_first(tmp_path):
    rollout.played_before(tmp_path, {})
    for name, count in (("episodes.jsonl", 2), ("episodes.partial", 3)):
        lines = [json.dumps({"seed": seed, "success": True, "steps": 5}) + "\n" for seed in range(count)]
        (tmp_path / name).write_text("".join(lines))
    assert [episode.seed for episode in rollout.played_before(tmp_path, {})] == [0, 1, 2]
    (tmp_path / "episodes.partial").write_text("")
    assert [episode.seed for episode in rollout.played_before(tmp_path, {})] == [0, 1]


def test_a_policy_of_unknown_origin_needs_a_task(blind):
    with pytest.raises(ValueError, match="task: the policy's demonstrations name no task of MetaWorld or Adroit"):
        rollout.task_of(rollout.Config(), blind, origin={})


def test_ctrl_c_ends_the_command_with_its_processes_quietly(blind, tmp_path, rendering):
    blind.save(tmp_path / "policy", ORIGIN)
    folders = ["--policy", f"{tmp_path}/policy", "--output", f"{tmp_path}/out"]
    options = [*folders, "--episodes", "5000", "--processes", "2"]
    command = [sys.executable, "-m", "xdistill_encoder.cli", "rollout", *options]
    log = tmp_path / "out/episodes.partial"
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        while process.poll() is None and not (log.exists() and log.read_text()):
            time.sleep(0.1)
        children = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, errors = process.communicate(timeout=30)
    assert len(children) >= 2
    assert process.returncode == 130
    assert "interrupted; the same command continues" in errors
    assert log.read_text()
    assert not (tmp_path / "out/episodes.jsonl").exists()
    assert "Traceback" not in errors
    assert not psutil.wait_procs(children, timeout=10)[1]
