import json
from dataclasses import replace
from pathlib import Path

import pytest

from policy_examples.benchmarking.outcome import checkpoint_name, mean_of_best, row_of_shift, row_of_training
from policy_examples.benchmarking.results import curve_of
from policy_examples.benchmarking.runfiles import add_minutes, describe_machine
from policy_examples.benchmarking.runs import EncoderChoice, Run
from policy_examples.encoders import PolicyEncoder, load_encoder
from policy_examples.policy import DiffusionPolicy
from policy_examples.policy_shape import PolicyShape
from policy_examples.rollout import PlayedEpisode
from tests.policy_examples.benchmarking.rows import PLAIN

SIZES = {"state_size": 9, "action_size": 4, "horizon": 4, "observation_steps": 2, "action_steps": 3, "channels": (16,)}
RATES = [0.0, 1.0, 0.2, 0.4, 0.6, 0.8, 0.5]


@pytest.fixture
def folder(tmp_path) -> Path:
    """Of a training of 1.5 minutes that was evaluated seven times, on 20 episodes each."""
    lines = [{"step": 100 * n, "epoch": n, "success": rate, "episodes": 20} for n, rate in enumerate(RATES, 1)]
    (tmp_path / "evaluations.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    (tmp_path / "config.json").write_text(json.dumps({"config": {"bf16": False}}))
    add_minutes(tmp_path, 1.0)
    add_minutes(tmp_path, 0.501)
    return tmp_path


def policy_of(encoder: PolicyEncoder) -> DiffusionPolicy:
    return DiffusionPolicy(PolicyShape(**SIZES, cameras=("image",) if encoder.reads else ()), [encoder])


def test_a_training_becomes_the_row_of_its_evaluations(folder):
    run = Run("sweep", EncoderChoice("blind"), seed=3, preset="smoke", demonstrations=7)
    found = row_of_training(run, "paper34", folder, policy_of(load_encoder("blind")), "0123456789ab")
    assert (found.suite, found.task, found.difficulty, found.encoder, found.seed) == (
        "paper34", "sweep", "medium", "blind", 3
    )  # fmt: skip
    assert (found.best, found.last, found.evaluations, found.episodes, found.steps) == (1.0, 0.5, 7, 20, 700)
    assert found.top5 == pytest.approx((1.0 + 0.8 + 0.6 + 0.5 + 0.4) / 5)
    assert curve_of(found) == [(100 * n, rate) for n, rate in enumerate(RATES, 1)]
    assert found.precision == "fp32"
    assert (found.minutes, found.demonstrations, found.shift, found.commit) == (1.5, 7, "", "0123456789ab")
    assert (found.command, found.machine) == (run.command(), describe_machine())
    assert (found.checkpoint, found.norm, found.parameters) == ("", "", 0)
    assert (found.ms_per_frame, found.image_size_px) == (None, None)  # it reads no frame


def test_what_reads_images_has_its_latency_and_the_side_it_computes_on(folder):
    """The frames of `smoke` are of 32 px, and this encoder takes them as they come."""
    run = Run("reach", EncoderChoice("resnet18-scratch", norm="group", lr=0.3), seed=0, preset="smoke")
    policy = policy_of(load_encoder("resnet18-scratch", norm="group"))
    found = row_of_training(run, "paper34", folder, policy, None)
    assert (found.norm, found.encoder_lr, found.image_size_px, found.commit) == ("group", 0.3, 32, "")
    assert found.weights == ""  # random ones
    assert found.demonstrations == 2  # of the preset
    assert found.parameters == policy.encoder_of(0).parameter_count > 11_000_000
    assert found.ms_per_frame is not None
    assert found.ms_per_frame > 0


def test_a_shift_changes_the_evaluation_and_nothing_of_the_training():
    run = Run("drawer-open", EncoderChoice("xdistill"), seed=0, preset="cpu")
    trained = replace(PLAIN, curve="600:0.5", machine="the GPU that trained it", minutes=90.0)
    episodes = [PlayedEpisode(seed, success=seed < 3, steps=100) for seed in range(4)]
    found = row_of_shift(trained, run, "adroit", "light", episodes, 1.234, None)
    changed = {
        "suite": "adroit",
        "shift": "light",
        "best": None,
        "last": 0.75,
        "top5": None,
        "curve": "",
        "evaluations": 1,
    }
    changed |= {"episodes": 4, "minutes": 1.23, "machine": describe_machine(), "commit": ""}
    assert found == replace(trained, command=f"{run.command()} --shifts light", **changed)  # type: ignore[arg-type]


def test_top5_is_the_mean_of_the_five_best_or_of_all():
    assert mean_of_best([0.0, 1.0, 0.2, 0.4, 0.6, 0.8]) == pytest.approx(0.6)  # without 0.0
    assert mean_of_best([0.5, 1.0]) == 0.75


def test_weights_are_called_as_they_were_asked_for_or_by_their_own_name():
    assert checkpoint_name(EncoderChoice("xdistill"), "bundled") == "bundled"
    assert checkpoint_name(EncoderChoice("xdistill", checkpoint="org/mine"), "mine") == "org/mine"
    assert checkpoint_name(EncoderChoice("student", checkpoint="mine"), None) == "mine"
    assert checkpoint_name(EncoderChoice("dinov2-s"), "facebook/dinov2-small") == ""
    assert checkpoint_name(EncoderChoice("blind"), None) == ""
