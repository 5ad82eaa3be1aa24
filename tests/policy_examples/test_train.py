import gc
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
import tyro

from policy_examples import rollout
from policy_examples.augmentation import Augmentation
from policy_examples.envs.camera import RenderingError
from policy_examples.formats.episodes import Selection
from policy_examples.policy import DiffusionPolicy
from policy_examples.run_lock import sole_run
from policy_examples.store import open_demonstrations, save_demonstrations
from policy_examples.train import PRESETS, Config, build_policy, main, preset_for, require_one_camera, train
from policy_examples.training.draws import generator_of
from policy_examples.training.evaluations import learned_task
from policy_examples.training.optimization import warmup_cosine
from policy_examples.windows import Windows, batch_indices
from xdistill_encoder import XDistillResNet18


@pytest.fixture
def config(tmp_path, demonstrations):
    """A run of 12 steps on two cameras' frames of 40 px; blind, which is quick."""
    random = np.random.default_rng(1)
    front, wrist = (random.integers(0, 256, (21, 40, 40, 3), dtype=np.uint8) for _ in range(2))
    origin = demonstrations.origin | {"image_size_px": 40}
    taken = replace(demonstrations, images=front, cameras={"wrist": wrist}, origin=origin)
    save_demonstrations(taken, tmp_path / "demos.zarr")
    return Config(
        demos=tmp_path / "demos.zarr",
        output=tmp_path / "run",
        encoder="blind",
        horizon=4,
        action_steps=3,
        channels=(16, 32),
        inference_steps=2,
        epochs=None,
        steps=12,
        batch_size=4,
        warmup_steps=2,
        bf16=False,
        log_every=1,
        save_every=5,
    )


SEEING = {"encoder": "resnet18-scratch", "cameras": ("image",), "crop_px": 32, "colour": 0.3}


def terminate_after(lines, log):
    """Send this process a SIGTERM once the log has so many lines."""

    def watch():
        while not log.exists() or len(log.read_text().splitlines()) < lines:
            time.sleep(0.002)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def losses(output):
    return [line["loss"] for line in read(output / "log.jsonl")]


def weights(output, name="policy"):
    policy, _ = DiffusionPolicy.load(output / name)
    return policy.state_dict()


def require_same(first, second):
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def stopped_and_continued(config, log, lines):
    """Train undisturbed, then with a SIGTERM after so many lines of a log, then on; both folders."""
    undisturbed = replace(config, output=config.output / "undisturbed")
    disturbed = replace(config, output=config.output / "disturbed")
    assert train(undisturbed)
    watcher = terminate_after(lines, disturbed.output / log)
    assert not train(disturbed)
    watcher.join()
    assert not (disturbed.output / "policy").exists()
    _, origin = DiffusionPolicy.load(disturbed.output / "stopped")
    assert 0 < origin["step"] < (config.steps or 10**9)
    assert train(disturbed)
    assert not (disturbed.output / "stopped").exists()
    return undisturbed.output, disturbed.output


# ---- a step


@pytest.fixture
def steps_of(monkeypatch):
    """steps_of(config): train it -> what each step gave to the policy: batch, noise, level, whether in bfloat16."""

    def steps_of(config):
        seen, forward = [], DiffusionPolicy.forward

        def recorded(policy, batch, noise, level):
            seen.append((batch, noise, level, torch.is_autocast_enabled("cpu")))
            return forward(policy, batch, noise, level)

        with monkeypatch.context() as patched:
            patched.setattr(DiffusionPolicy, "forward", recorded)
            train(config)
        return seen

    return steps_of


def test_each_step_learns_from_its_own_batch_noise_and_augmentation(config, steps_of):
    config = replace(config, **SEEING, steps=7)
    seen = steps_of(config)
    policy, _ = DiffusionPolicy.load(config.output / "policy")
    windows = Windows(
        open_demonstrations(config.demos),
        config.horizon,
        policy.shape.observation_steps,
        config.action_steps,
        policy.reads,
    )
    augmentation = Augmentation(config.crop_px, config.colour)
    assert len(seen) == 7
    for step, (batch, noise, level, _) in enumerate(seen):
        generator = generator_of(config.seed, step)
        expected = policy.draw_noise(config.batch_size, generator)
        assert torch.equal(noise, expected[0])
        assert torch.equal(level, expected[1])
        whole = windows[batch_indices(len(windows), config.batch_size, config.seed, step)]
        assert torch.equal(batch["agent_pos"], whole["agent_pos"])
        assert torch.equal(batch["action"], whole["action"])
        drawn = augmentation.draw(config.batch_size, generator)
        assert torch.equal(batch["image"], augmentation(whole["image"], drawn))


def test_the_optimizer_takes_the_learning_rate_of_each_step(config):
    train(replace(config, steps=6))
    groups = torch.load(config.output / "checkpoint.pt", weights_only=True)["parts"]["optimizer"]["param_groups"]
    rate = warmup_cosine(5, 2, 6)
    assert rate < 0.5
    assert [group["lr"] for group in groups] == pytest.approx([group["full_lr"] * rate for group in groups])


@pytest.mark.parametrize("bf16", [True, False])
def test_a_step_computes_in_bfloat16_where_that_is_asked_for(config, steps_of, bf16):
    assert [autocast for *_, autocast in steps_of(replace(config, steps=2, bf16=bf16))] == [bf16, bf16]


# ---- going on


@pytest.mark.parametrize("log_every", [1, 2])
def test_a_run_that_sigterm_stopped_continues_to_the_same_weights_bit_for_bit(config, log_every):
    config = replace(config, steps=80, log_every=log_every)
    undisturbed, disturbed = stopped_and_continued(config, "log.jsonl", lines=2)
    require_same(weights(disturbed), weights(undisturbed))
    assert losses(disturbed) == losses(undisturbed)


def test_a_run_with_augmentation_continues_to_the_same_weights_bit_for_bit(config):
    undisturbed, disturbed = stopped_and_continued(replace(config, **SEEING), "log.jsonl", lines=2)
    require_same(weights(disturbed), weights(undisturbed))


@pytest.mark.usefixtures("rendering")
def test_a_run_with_evaluations_continues_to_the_same_weights_and_evaluations(config):
    config = replace(config, horizon=16, action_steps=12, eval_every_epochs=1, eval_episodes=2)
    undisturbed, disturbed = stopped_and_continued(config, "evaluations.jsonl", lines=1)
    assert [line["step"] for line in read(undisturbed / "evaluations.jsonl")] == [3, 6, 9, 12]
    for name in ("evaluations.jsonl", *(f"episodes-{step}.jsonl" for step in (3, 6, 9, 12))):
        assert (disturbed / name).read_text() == (undisturbed / name).read_text()
    for name in ("policy", "best"):
        require_same(weights(disturbed, name), weights(undisturbed, name))
    assert DiffusionPolicy.load(undisturbed / "best")[1]["step"] == 12  # as good as any before, so the averaged last
    require_same(weights(undisturbed, "best"), weights(undisturbed, "policy"))


def test_a_run_started_otherwise_is_not_continued(config):
    train(replace(config, steps=2))
    with pytest.raises(ValueError, match=r"holds a run that began otherwise \(steps 2 -> 3, lr 0.0001 -> 0.1\)"):
        train(replace(config, steps=3, lr=0.1))


def test_a_run_whose_checkpoint_was_replaced_meanwhile_is_not_continued(config, tmp_path):
    config = replace(
        config, **SEEING | {"encoder": "xdistill", "checkpoint": str(tmp_path / "encoder"), "norm": "group"}, steps=1
    )
    XDistillResNet18(norm="group").save_pretrained(tmp_path / "encoder", name="mine")
    assert train(config)
    assert train(config)  # with the same weights
    XDistillResNet18(norm="group").save_pretrained(tmp_path / "encoder", name="mine")  # other random ones
    with pytest.raises(ValueError, match=r"began otherwise \(weights_sha256 \['\w{64}'\] -> \['\w{64}'\]\)"):
        train(config)
    XDistillResNet18(norm="group").save_pretrained(tmp_path / "encoder", name="theirs")
    with pytest.raises(ValueError, match=r"began otherwise \(weights \['mine'\] -> \['theirs'\], weights_sha256"):
        train(config)


def test_a_run_on_other_demonstrations_is_not_continued(config, demonstrations):
    train(replace(config, steps=2))
    other = config.demos.with_name("other.zarr")
    save_demonstrations(replace(demonstrations, actions=demonstrations.actions[::-1].copy()), other)
    with pytest.raises(ValueError, match=r"holds a run that began otherwise \(windows \d+ -> \d+\)"):
        train(replace(config, steps=2, demos=other))


def test_a_run_whose_folders_were_moved_is_continued(config):
    train(replace(config, steps=2))
    moved = config.output.rename(config.output.with_name("moved"))
    demos = config.demos.rename(config.demos.with_name("moved.zarr"))
    assert train(replace(config, steps=2, output=moved, demos=demos))
    assert len(losses(moved)) == 2  # nothing was done again


def test_a_damaged_checkpoint_is_refused(config):
    train(replace(config, steps=2))
    checkpoint = config.output / "checkpoint.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"output: .*checkpoint.pt cannot be read .* name another folder"):
        train(replace(config, steps=2))


def test_a_finished_run_without_its_checkpoint_is_not_overwritten(config):
    config = replace(config, steps=2)
    train(config)
    (config.output / "checkpoint.pt").unlink()
    policy = (config.output / "policy/model.safetensors").read_bytes()
    with pytest.raises(ValueError, match=r"holds policy, learning_curve.png of a run whose checkpoint.pt is gone"):
        train(replace(config, seed=1))
    assert (config.output / "policy/model.safetensors").read_bytes() == policy
    assert len(losses(config.output)) == 2


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_again(config):
    config.output.mkdir()
    (config.output / "log.jsonl").write_text('{"step": 1, "loss": 7.0}\n')
    assert train(replace(config, steps=2))
    assert len(losses(config.output)) == 2


def test_a_run_keeps_the_precision_that_it_began_in(config):
    config = replace(config, steps=2, bf16=None)  # what the machine computes natively
    train(config)
    _, origin = DiffusionPolicy.load(config.output / "policy")
    precision = origin["bf16"]
    assert train(replace(config, bf16=precision))
    other = rf"\(bf16 {precision} -> {not precision}\); name another folder, or continue it with --bf16 {precision}\."
    with pytest.raises(ValueError, match=other):
        train(replace(config, bf16=not precision))


# ---- what a run leaves


def test_a_finished_run_leaves_policy_log_settings_and_learning_curve(config):
    train(replace(config, steps=4))
    lines = read(config.output / "log.jsonl")
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert [line["epoch"] for line in lines] == [0.2, 0.4, 0.6, 0.8]
    assert (config.output / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    facts = json.loads((config.output / "config.json").read_text())
    assert facts["config"]["encoder"] == "blind"
    assert facts["packages"]["torch"] == version("torch")
    _, origin = DiffusionPolicy.load(config.output / "policy")
    assert origin["task"] == "reach"
    assert origin["seeds"] == [3, 4]
    assert origin["step"] == 4


def test_a_run_whose_log_ends_in_a_part_of_a_line_goes_on(config):
    train(replace(config, steps=12, save_every=1))
    expected = read(config.output / "log.jsonl")
    part = replace(config, output=config.output.with_name("part"))
    terminate_after(3, part.output / "log.jsonl")
    assert not train(part)
    with (part.output / "log.jsonl").open("a") as file:
        file.write('{"step": 5, "epo')
    assert train(part)
    assert [line["step"] for line in read(part.output / "log.jsonl")] == [line["step"] for line in expected]


def test_a_second_process_in_the_same_folder_is_refused(config, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["xdistill finetune", f"--demos={config.demos}", f"--output={config.output}"])
    with sole_run(config.output), pytest.raises(SystemExit, match="output: another process runs in .*run; wait"):
        main()


def test_too_few_windows_are_told_before_a_policy_is_built(config):
    with pytest.raises(
        ValueError, match=r"batch_size: 1000 is more than the \d+ windows; choose --batch-size \d+ or less"
    ):
        train(replace(config, batch_size=1000, checkpoint="no such folder", encoder="xdistill"))


def test_a_camera_under_the_data_sets_name_is_refused_with_ours(config, demonstrations, tmp_path):
    called = {**demonstrations.origin, "cameras": {"img": "front"}}
    save_demonstrations(replace(demonstrations, origin=called), tmp_path / "named.zarr")
    with pytest.raises(ValueError, match=r"these demonstrations have image \(front\), agent_pos; got 'front'"):
        train(replace(config, **SEEING | {"cameras": ("front",), "demos": tmp_path / "named.zarr"}))


def test_an_evaluation_that_cannot_be_played_is_missed_before_the_first_step(config, monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "bogus")
    monkeypatch.delitem(sys.modules, "mujoco.gl_context", raising=False)
    with pytest.raises(RenderingError, match="MuJoCo cannot render without a window"):
        train(replace(config, **SEEING, steps=2, eval_every_epochs=1))
    assert not (config.output / "log.jsonl").exists()


def test_ddpm_takes_all_its_steps_unless_fewer_are_asked_for(config, demonstrations):
    config = replace(config, inference_steps=None)
    assert build_policy(replace(config, sampler="ddpm"), demonstrations).shape.inference_steps == 100
    assert build_policy(config, demonstrations).shape.inference_steps == 10
    with pytest.raises(ValueError, match="inference_steps: expected"):
        build_policy(replace(config, inference_steps=0), demonstrations)


def test_a_run_shorter_than_twice_its_warm_up_still_reaches_the_learning_rate(config):
    train(replace(config, steps=6, warmup_steps=500))
    assert max(line["lr"] for line in read(config.output / "log.jsonl")) == pytest.approx(config.lr)


def test_crops_may_have_a_height_and_a_width(config):
    asked = tyro.cli(Config, default=replace(config, **SEEING, steps=1), args=["--crop-px", "32", "38"])
    train(asked)
    policy, _ = DiffusionPolicy.load(config.output / "policy")
    assert asked.crop_px == policy.shape.crop_px == (32, 38)


def test_a_policy_knows_the_frames_that_it_learned_from(config):
    train(replace(config, **SEEING, steps=1))
    policy, _ = DiffusionPolicy.load(config.output / "policy")
    assert policy.shape.frames_px == ((40, 40),)
    frames = {"agent_pos": torch.zeros(1, 2, 9), "image": torch.zeros(1, 2, 3, 48, 40, dtype=torch.uint8)}
    with pytest.raises(
        ValueError, match=r"image: this policy learned from frames of 40 x 40 px, got \(1, 2, 3, 48, 40\)"
    ):
        policy.predict_action(frames)


def test_of_several_cameras_those_to_read_must_be_named(config):
    with pytest.raises(ValueError, match="cameras: these demonstrations have several, image, image_wrist; name those"):
        train(replace(config, encoder="resnet18-scratch"))


def test_cameras_are_listed_by_the_names_they_came_with(demonstrations):
    images = demonstrations.images
    called = {"img": "front", "img_a": "left", "img_b": "right"}
    several = replace(demonstrations, cameras={"b": images, "a": images}, origin={"cameras": called})
    with pytest.raises(ValueError, match=r"several, image \(front\), image_b \(right\), image_a \(left\); name those"):
        require_one_camera(several)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crop_px": 32}, "crop_px: the policy reads no image; leave it out"),
        ({"colour": 0.3}, "colour: the policy reads no image"),
        ({"separate_encoders": True}, "separate_encoders: the policy has one camera at most"),
        ({"freeze_encoder": True}, "freeze_encoder: blind has nothing to freeze"),
        ({"encoder_lr_multiplier": 0.3}, "encoder_lr_multiplier: the encoder does not learn"),
        (SEEING | {"separate_encoders": True}, "separate_encoders: the policy has one camera at most"),
        (
            SEEING | {"freeze_encoder": True, "encoder_lr_multiplier": 0.3},
            "encoder_lr_multiplier: the encoder does not learn",
        ),
    ],
)
def test_a_setting_that_would_not_be_used_is_refused(config, changes, message):
    with pytest.raises(ValueError, match=message):
        train(replace(config, **changes))


def test_the_best_policy_is_not_played_on_the_episodes_that_chose_it(config):
    origin = {"selected_by_seeds": [1_000_000, 1_000_001]}
    with pytest.raises(ValueError, match="are the episodes by which this policy was chosen.*start at 1000002"):
        rollout.require_unseen(range(1_000_001, 1_000_003), origin)
    rollout.require_unseen(range(1_000_002, 1_000_004), origin)


def test_a_policy_of_chosen_arrays_is_not_evaluated_in_a_simulator():
    origin = {"task": "reach", "image_size_px": 32, "render": "fast", "selection": {"state": ["state[:3]"]}}
    with pytest.raises(
        ValueError, match=r"it learned from chosen arrays of the demonstrations \(state \['state\[:3\]'\]\)"
    ):
        learned_task(origin, ("image", "agent_pos"))


def test_the_saved_policy_is_the_average_not_the_last_weights(config):
    train(replace(config, steps=4))
    parts = torch.load(config.output / "checkpoint.pt", weights_only=True)["parts"]
    saved = weights(config.output)
    assert not torch.equal(saved["unet.out.3.weight"], parts["policy"]["unet.out.3.weight"])
    require_same(saved, parts["average"]["policy"])


@pytest.mark.usefixtures("rendering")
def test_evaluations_are_logged_with_their_episodes_and_the_best_policy_is_kept(config):
    assert train(replace(config, steps=6, eval_every_epochs=1, eval_episodes=2))
    lines = read(config.output / "evaluations.jsonl")
    assert [(line["step"], line["epoch"], line["episodes"]) for line in lines] == [(5, 1.0, 2), (6, 1.2, 2)]
    for line in lines:
        episodes = read(config.output / f"episodes-{line['step']}.jsonl")
        assert sum(episode["success"] for episode in episodes) / 2 == line["success"]
    _, best = DiffusionPolicy.load(config.output / "best")
    assert best["success"] == max(line["success"] for line in lines)
    assert best["selected_by_seeds"] == [1_000_000, 1_000_001]
    assert (config.output / "policy").exists()


@pytest.mark.usefixtures("rendering")
def test_a_policy_that_learned_from_resized_frames_is_evaluated_on_frames_that_are_resized_alike(config):
    resized = Selection(cameras=("img",), image_size_px=36)
    seeing = {"encoder": "resnet18-scratch", "steps": 1, "eval_every_epochs": 1, "eval_episodes": 1}
    assert train(replace(config, **seeing, selection=resized))
    policy, origin = DiffusionPolicy.load(config.output / "policy")
    assert (origin["image_size_px"], origin["rendered_px"]) == (36, 40)
    for task in (learned_task(origin, policy.reads), rollout.task_of(rollout.Config(), policy, origin)):
        assert (task.image_size_px, task.rendered_px) == (36, 40)
    assert rollout.task_of(rollout.Config(image_size_px=48), policy, origin).rendered_px is None


@pytest.mark.usefixtures("rendering")
def test_a_process_of_an_evaluation_that_dies_is_named_in_one_line(config, monkeypatch):
    def kill_the_first() -> None:
        while not (children := multiprocessing.active_children()):
            time.sleep(0.01)
        children[0].kill()

    threading.Thread(target=kill_the_first, daemon=True).start()
    arguments = [f"--demos={config.demos}", f"--output={config.output}", "--encoder=blind", "--steps=1"]
    arguments += ["--channels", "16", "32", "--batch-size=4", "--eval-every-epochs=1", "--eval-processes=2"]
    monkeypatch.setattr(sys, "argv", ["xdistill finetune", *arguments])
    with pytest.raises(SystemExit, match=r"^xdistill finetune: processes: .*died"):
        main()


def test_evaluations_of_demonstrations_of_unknown_origin_are_refused(config, demonstrations):
    foreign = config.demos.with_name("foreign.zarr")
    save_demonstrations(replace(demonstrations, origin={}), foreign)
    with pytest.raises(ValueError, match="eval_every_epochs: the demonstrations do not say their task, render, so"):
        train(replace(config, demos=foreign, eval_every_epochs=1))


# ---- settings


def test_an_epoch_is_all_whole_batches_of_windows(config):
    train(replace(config, steps=None, epochs=2, batch_size=10))
    assert [line["step"] for line in read(config.output / "log.jsonl")] == [1, 2, 3, 4]  # 21 windows, 2 batches


def test_the_length_is_either_steps_or_epochs():
    for length in (5, None):
        with pytest.raises(ValueError, match=f"epochs, steps: expected one of them, got {length} and {length}"):
            Config(steps=length, epochs=length)


def test_a_length_on_the_command_line_replaces_the_presets():
    assert preset_for("dp3", ["--steps", "7"]).epochs is None
    assert preset_for("cpu", ["--epochs=7"]).steps is None
    assert preset_for("cpu", ["--lr", "1"]) == PRESETS["cpu"]


def test_a_frozen_encoder_stays_as_it_was_while_the_head_learns(config, demonstrations):
    config = replace(config, **SEEING, freeze_encoder=True, steps=2)
    train(config)
    torch.manual_seed(config.seed)
    start, trained = build_policy(config, demonstrations).state_dict(), weights(config.output)
    changed = {name.partition(".")[0] for name in start if not torch.equal(start[name], trained[name])}
    assert changed == {"unet"}


def test_two_cameras_have_an_encoder_each_where_it_is_asked_for(config):
    cameras = ("image", "image_wrist")
    train(replace(config, **SEEING | {"cameras": cameras}, steps=1, separate_encoders=True))
    policy, _ = DiffusionPolicy.load(config.output / "policy")
    assert policy.reads == (*cameras, "agent_pos")
    assert len(policy.encoders) == 2


def test_ddpm_with_noise_prediction_learns_and_acts(config):
    train(replace(config, steps=2, sampler="ddpm", prediction="epsilon", inference_steps=100))
    policy, _ = DiffusionPolicy.load(config.output / "policy")
    assert policy.predict_action({"agent_pos": torch.zeros(1, 2, 9)}).shape == (1, 3, 4)


def test_batch_norm_is_refused_and_the_trap_is_noted_where_it_is_asked_for(config):
    config = replace(config, **SEEING, norm="batch", steps=1)
    with pytest.raises(ValueError, match=r"norm: .*averaged copy"):
        train(config)
    train(replace(config, show_batch_norm_trap=True))
    _, origin = DiffusionPolicy.load(config.output / "policy")
    assert origin["batch_norm_trap"] is True


@pytest.mark.parametrize("log_every", [1, 1000])
def test_a_loss_that_is_not_finite_stops_the_run_before_it_is_saved(config, log_every, capsys):
    config = replace(config, lr=1e30, warmup_steps=0, log_every=log_every)
    with pytest.raises(FloatingPointError, match=r"step \d+: loss is (nan|inf); lower the learning rate") as caught:
        train(config)
    assert not (config.output / "policy").exists()
    capsys.readouterr()
    del caught  # its frames hold the log: a bar that is still open prints itself once more, after the last line
    gc.collect()
    assert capsys.readouterr().err == ""


def test_a_run_says_where_it_computes_on_how_much_and_how_long(config, capsys):
    train(replace(config, steps=2, bf16=False))
    assert re.fullmatch(
        rf"cpu, float32: \d+ windows of demonstrations \([\d.]+ MB\), 2 steps of {config.batch_size}",
        capsys.readouterr().out.splitlines()[0],
    )


def test_bfloat16_training_keeps_float32_weights(config):
    train(replace(config, **SEEING, steps=2, bf16=True))
    assert {tensor.dtype for tensor in weights(config.output).values()} <= {torch.float32, torch.int64}


def test_a_policy_that_learned_through_torch_compile_loads_without_it(config):
    config = replace(config, steps=2)
    train(replace(config, output=config.output / "plain"))
    with torch.compiler.set_stance("force_eager"):  # compiling a training step takes half a minute
        train(replace(config, output=config.output / "compiled", compile=True))
    require_same(weights(config.output / "compiled"), weights(config.output / "plain"))


@pytest.mark.usefixtures("rendering")
def test_two_processes_share_a_batch_and_learn_what_one_learns(config):
    config = replace(config, **SEEING, steps=3, lr=1e-3, eval_every_epochs=1, eval_episodes=1)
    train(config)
    options = ["--eval-every-epochs=1", "--eval-episodes=1"]
    options += ["--encoder=resnet18-scratch", "--cameras", "image", "--crop-px=32", "--colour=0.3"]
    options += [f"--demos={config.demos}", f"--output={config.output}/two", "--channels", "16", "32", "--bf16=False"]
    options += [
        "--inference-steps=2",
        "--horizon=4",
        "--action-steps=3",
        "--steps=3",
        "--batch-size=4",
        "--warmup-steps=2",
        "--lr=1e-3",
    ]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "policy_examples.train", *options, "--log-every=1"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, cwd=Path(__file__).parents[2], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert losses(config.output / "two") == pytest.approx(losses(config.output), rel=1e-3)
    assert [line["step"] for line in read(config.output / "two" / "evaluations.jsonl")] == [3]


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory.\nSee"), MemoryError("Unable to.")])
def test_a_machine_that_is_too_small_says_what_takes_less(error, monkeypatch, tmp_path):
    def fail(*_):
        raise error

    monkeypatch.setattr("policy_examples.train.open_demonstrations", fail)  # where the first of it is taken
    monkeypatch.setattr(sys, "argv", ["xdistill finetune", f"--output={tmp_path}/run"])
    with pytest.raises(SystemExit, match=r"no memory left: (CUDA out of memory|Unable to)\. Smaller .*image-size-px"):
        main()


def test_the_published_presets_have_the_sizes_of_dp3():
    repository, paper = PRESETS["dp3"], PRESETS["dp3-paper"]
    assert (repository.horizon, repository.observation_steps, repository.action_steps) == (16, 2, 8)
    assert (paper.horizon, paper.observation_steps, paper.action_steps) == (4, 2, 3)
    for preset in (repository, paper):
        assert preset.channels == (512, 1024, 2048)
        assert (preset.batch_size, preset.lr, preset.warmup_steps) == (128, 1e-4, 500)
        assert (preset.prediction, preset.sampler, preset.inference_steps) == ("sample", "ddim", None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": 0.0}, "lr: expected a number above 0, got 0.0"),
        ({"eval_every_epochs": 0}, "eval_every_epochs: expected 1 or more, or None, got 0"),
        ({"log_every": 0}, "log_every: expected 1 or more, got 0"),
        ({"seed": 2**32}, "seed: expected 0 to 4294967295, got 4294967296"),
        ({"seed": -1}, "seed: expected 0 to 4294967295, got -1"),
    ],
)
def test_a_setting_out_of_range_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Config(**change)


def test_the_command_takes_its_defaults_from_the_preset_and_names_a_mistake_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["xdistill finetune", "--preset", "cpu", "--demos", str(tmp_path / "none.zarr")])
    with pytest.raises(SystemExit, match=r"xdistill finetune: demonstrations: .*none.zarr"):
        main()
