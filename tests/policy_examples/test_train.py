import json
import os
import signal
import sys
import threading
import time
from dataclasses import replace

import pytest
import torch

from policy_examples.policy import DiffusionPolicy
from policy_examples.store import save_demonstrations
from policy_examples.train import PRESETS, Config, main, train, warmup_cosine


@pytest.fixture
def config(tmp_path, demonstrations):
    save_demonstrations(demonstrations, tmp_path / "demonstrations.zarr")
    return Config(
        demos=tmp_path / "demonstrations.zarr",
        output=tmp_path / "run",
        encoder="resnet18-scratch",
        horizon=4,
        channels=(16, 32),
        steps=12,
        batch_size=4,
        warmup_steps=2,
        bf16=False,
        log_every=1,
        save_every=5,
    )


def terminate_after(lines, log):
    """Send this process a SIGTERM once the log has so many lines."""

    def watch():
        while not log.exists() or len(log.read_text().splitlines()) < lines:
            time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def losses(output):
    return [json.loads(line)["loss"] for line in (output / "log.jsonl").read_text().splitlines()]


def weights(output):
    policy, _ = DiffusionPolicy.load(output / "policy")
    return policy.state_dict()


def test_a_run_that_sigterm_stopped_continues_to_the_same_weights_bit_for_bit(config):
    config = replace(config, log_every=2)
    undisturbed = replace(config, output=config.output / "undisturbed")
    disturbed = replace(config, output=config.output / "disturbed")
    assert train(undisturbed) == 12

    watcher = terminate_after(lines=2, log=disturbed.output / "log.jsonl")
    stopped_at = train(disturbed)
    watcher.join()
    assert 4 <= stopped_at < 12
    assert not (disturbed.output / "policy").exists()
    assert train(disturbed) == 12

    expected, continued = weights(undisturbed.output), weights(disturbed.output)
    assert all(torch.equal(continued[name], expected[name]) for name in expected)
    assert losses(disturbed.output) == losses(undisturbed.output)


def test_a_finished_run_leaves_policy_log_and_learning_curve(config):
    config = replace(config, steps=4)
    train(config)
    lines = [json.loads(line) for line in (config.output / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert (config.output / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    _, origin = DiffusionPolicy.load(config.output / "policy")
    assert origin["task"] == "reach"
    assert origin["seeds"] == [3, 4]


def test_the_saved_policy_is_the_average_not_the_last_weights(config):
    train(replace(config, steps=4))
    last = torch.load(config.output / "checkpoint.pt", weights_only=True)
    saved = weights(config.output)
    assert not torch.equal(saved["unet.out.3.weight"], last["policy"]["unet.out.3.weight"])
    names = [name for name, _ in DiffusionPolicy.load(config.output / "policy")[0].named_parameters()]
    for name, average in zip(names, last["average"]["shadow_params"], strict=True):
        assert torch.equal(saved[name], average)


def test_a_run_started_otherwise_is_not_continued(config):
    train(replace(config, steps=2))
    with pytest.raises(ValueError, match=r"holds a run that began otherwise \(steps 2 -> 3, lr 0.0001 -> 0.1\)"):
        train(replace(config, steps=3, lr=0.1))


def test_a_run_whose_folder_was_moved_is_continued(config):
    train(replace(config, steps=2))
    moved = config.output.rename(config.output.with_name("moved"))
    assert train(replace(config, steps=2, output=moved)) == 2
    assert len(losses(moved)) == 2  # nothing was done again


@pytest.mark.parametrize("log_every", [1, 1000])
def test_a_loss_that_is_not_finite_stops_the_run_before_it_is_saved(config, log_every):
    config = replace(config, lr=1e30, warmup_steps=0, log_every=log_every)
    with pytest.raises(FloatingPointError, match=r"step \d+: loss is (nan|inf); lower the learning rate"):
        train(config)
    assert not (config.output / "policy").exists()


def test_bfloat16_training_keeps_float32_weights(config):
    train(replace(config, steps=2, bf16=True))
    assert {tensor.dtype for tensor in weights(config.output).values()} <= {torch.float32, torch.int64}


def test_the_learning_rate_rises_linearly_then_falls_to_zero():
    shares = [warmup_cosine(step, warmup_steps=4, steps=12) for step in range(13)]
    assert shares[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert shares[8] == pytest.approx(0.5)
    assert shares[12] == pytest.approx(0)


def test_the_published_preset_has_the_sizes_of_dp3():
    preset = PRESETS["dp3"]
    assert preset.channels == (512, 1024, 2048)
    assert (preset.horizon, preset.observation_steps, preset.action_steps) == (4, 2, 3)
    assert (preset.batch_size, preset.lr, preset.warmup_steps) == (128, 1e-4, 500)


def test_the_command_takes_its_defaults_from_the_preset_and_names_a_mistake_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["xdistill finetune", "--preset", "cpu", "--demos", str(tmp_path / "none.zarr")])
    with pytest.raises(SystemExit, match=r"xdistill finetune: demonstrations: .*none.zarr is not a zarr group"):
        main()
