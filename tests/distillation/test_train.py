import errno
import json
import os
import random
import re
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from PIL import Image
from tensorboard.backend.event_processing import event_accumulator

from distillation import targets
from distillation.sources.tables import load_parquet
from distillation.student_files import load_student
from distillation.students import Student
from distillation.train import MAY_DIFFER, PRESETS, Config, main, make_monitor, plan, train
from distillation.training.run_lock import sole_run
from distillation.training.schedule import lr_factor
from tests.distillation.tiny_runs import SMALL, command, losses, tiny_config, wait_for_steps, weights
from xdistill_encoder import XDistillResNet18


@pytest.fixture
def config(tmp_path, parquet, teacher_spec):
    return tiny_config(tmp_path, parquet, teacher_spec)


@pytest.fixture
def resnet18(config):
    """For what is about the encoder."""
    return replace(config, backbone="resnet18")


def build_cache(folder: Path, parquet: str, teacher_spec: str, views: int, decoded: Path | None = None) -> str:
    targets.build(
        targets.Config(
            teacher=(teacher_spec,),
            teacher_image_size=None,
            images=(parquet,),
            output=folder,
            views_per_image=views,
            patch_grid=1,
            batch_size=8,
            workers=0,
            mixed_precision="no",
            decoded=decoded,
        )
    )
    return str(folder)


@pytest.fixture(scope="module")
def cache(tmp_path_factory, parquet, teacher_spec):
    return build_cache(tmp_path_factory.mktemp("cache") / "targets", parquet, teacher_spec, views=2)


def assert_same_weights(folder: Path, other: Path) -> None:
    ours, theirs = (torch.load(path / "checkpoint.pt", weights_only=True) for path in (folder, other))
    assert ours.keys() == theirs.keys()
    for part in ours.keys() & {"model", "average", "objective"}:
        torch.testing.assert_close(theirs[part], ours[part], rtol=0, atol=0)


# What is learned, and exported


def test_the_student_learns_and_the_exported_encoder_is_the_one_that_learned(resnet18, cache):
    folder = train(replace(resnet18, epochs=16, targets=cache))
    curve = losses(resnet18.output)
    assert sum(curve[-5:]) < 0.5 * sum(curve[:5])
    encoder = XDistillResNet18.from_pretrained(folder)
    trained = weights(resnet18.output)["encoder.trunk.layer4.1.conv2.weight"]
    torch.testing.assert_close(
        encoder.get_parameter("trunk.layer4.1.conv2.weight"), trained, rtol=2**-11, atol=2**-14
    )  # float16
    assert encoder.checkpoint
    assert encoder.checkpoint.provenance["targets_made"].keys() >= {"command", "date"}  # of the cache, not of the run


def test_provenance_tells_what_made_the_weights(config):
    checkpoint = load_student(train(replace(config, epochs=1))).checkpoint
    assert checkpoint
    provenance = checkpoint.provenance
    assert (provenance["teacher"], provenance["images"], provenance["steps"]) == ("vit_random", 24, 3)
    assert provenance["settings"]["loss"] == ["mse"]
    assert provenance["teachers"][0]["image_size"] == 32
    assert len(provenance["teachers"][0]["fingerprint"]) == len(provenance["images_fingerprint"]) == 16
    assert provenance["hours"] > 0
    assert provenance["device"].startswith("cpu")
    assert not provenance["settings"].keys() & set(MAY_DIFFER)


def test_a_warm_start_keeps_the_provenance_of_what_it_started_from(resnet18):
    first = train(replace(resnet18, epochs=1, name="kettle"))
    again = replace(resnet18, epochs=1, warm_start=str(first), output=resnet18.output / "again")
    checkpoint = XDistillResNet18.from_pretrained(train(again)).checkpoint
    assert checkpoint
    origin = checkpoint.provenance["started_from"]
    assert (origin["name"], origin["provenance"]["steps"]) == ("kettle", 3)


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": ("mse:0.5", "cosine", "relational"), "queue_size": 16},
        {"loss": ("smooth_l1", "patch"), "norm": "group", "backbone": "resnet18"},
        {"standardize": True, "ema": 0.9, "clip": 1.0},
        {"augmentation": "strong", "embedding": "avg", "first_image_size": 32, "image_size": 64},
    ],
)
def test_every_setting_learns_something_that_loads(config, changes):
    folder = train(replace(config, epochs=8, **changes))
    curve = losses(config.output)
    assert sum(curve[-3:]) < sum(curve[:3])
    encoder = load_student(folder)
    assert encoder.norm == changes.get("norm", "batch")
    assert encoder(torch.zeros(1, 3, 32, 32)).isfinite().all()


def test_what_is_exported_is_the_average(config):
    encoder = load_student(train(replace(config, ema=0.9)))
    state = torch.load(config.output / "checkpoint.pt", weights_only=True)
    learned, average = state["model"], state["average"]
    name = next(name for name in learned if name.startswith("encoder.") and name.endswith("conv1.weight"))
    exported = encoder.get_parameter(name.removeprefix("encoder."))
    torch.testing.assert_close(exported, average["student"][name], rtol=2**-11, atol=2**-14)  # float16
    assert (exported - learned[name]).abs().max() > 2e-4


@pytest.mark.parametrize(("epochs", "first"), [(1, 64), (2, 32)])
def test_an_encoder_says_from_which_image_size_it_learned(config, epochs, first):
    """A run of one epoch has the last size throughout."""
    folder = train(replace(config, epochs=epochs, first_image_size=32, image_size=64))
    settings = json.loads((folder / "config.json").read_text())["provenance"]["settings"]
    assert (settings["first_image_size"], settings["image_size"]) == (first, 64)


def test_the_learning_rate_warms_up_and_falls_to_nothing(config):
    train(replace(config, epochs=8, warmup_share=0.25))
    rates = [json.loads(line)["lr"] for line in (config.output / "log.jsonl").read_text().splitlines()]
    assert rates == pytest.approx([config.lr * lr_factor(step, 24, 0.25) for step in range(24)])
    assert rates.index(max(rates)) < 7
    assert rates[-1] < 0.02 * max(rates)


def test_clipped_gradients_move_nothing(config):
    """Adam's step is as large for small gradients; with an epsilon above them it is not."""
    train(replace(config, epochs=1, clip=1e-14, weight_decay=0.0))
    train(replace(config, epochs=1, weight_decay=0.0, output=config.output / "free"))
    torch.manual_seed(config.seed)
    first, clipped, free = (weights(folder) for folder in (config.output, config.output, config.output / "free"))
    name = next(name for name in first if name.endswith("conv1.weight"))
    start = Student((192,), config.backbone, "batch").state_dict()[name]
    assert (clipped[name] - start).abs().max() < 1e-3 * (free[name] - start).abs().max()


# Targets


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"standardize": True},
        {"loss": ("mse", "cosine", "relational"), "queue_size": 16},
        {"loss": ("mse", "patch")},
    ],
)
def test_cached_and_online_embeddings_of_the_same_views_give_the_same_losses(config, cache, changes):
    config = replace(config, epochs=3, lr=1e-5, **changes)  # so small a rate that rounding is not amplified
    train(replace(config, targets=cache))
    train(replace(config, views_per_image=2, output=config.output / "online"))
    cached, online = losses(config.output), losses(config.output / "online")
    assert cached == pytest.approx(online, rel=2e-3)  # the cache is float16
    assert len(cached) == 9


def test_a_cache_needs_no_teacher_where_it_is_not_verified(config, cache, teacher_spec):
    name = Path(teacher_spec.removeprefix("local-dir:")).name
    train(replace(config, epochs=1, targets=cache, teacher=(f"somewhere/{name}",), verify_targets=0))
    assert len(losses(config.output)) == 3


def test_pixels_that_were_decoded_before_give_the_same_student_and_the_same_targets(config, cache, tmp_path):
    usual, kept = replace(config, targets=cache, epochs=2), tmp_path / "pixels"
    train(usual)
    train(replace(usual, output=tmp_path / "kept", decoded=kept))
    assert_same_weights(usual.output, tmp_path / "kept")
    folder = tmp_path / "targets"
    teacher, (images,) = config.teacher, config.images
    again = build_cache(folder, images, teacher[0], views=2, decoded=kept)
    shards = sorted(Path(cache).rglob("*.parquet"))
    assert len(shards) == 2
    for shard in shards:
        other = Path(again) / shard.relative_to(cache)
        assert load_parquet([str(other)]).to_list() == load_parquet([str(shard)]).to_list()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 1}, "seed was 0, is 1"),
        ({"min_scale": 0.5}, "augmentation.min_scale was 0.35, is 0.5"),
        ({"views_per_image": 3}, "views was 2, is 3"),
        ({"embedding": "avg"}, "embedding was cls, is avg"),
    ],
)
def test_a_cache_of_something_else_is_refused_with_what_differs(config, cache, changes, message):
    with pytest.raises(ValueError, match=message):
        train(replace(config, targets=cache, **changes))


# Leaving and coming back


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_leaves_and_the_resumed_run_ends_as_an_undisturbed_one(config, number):
    config = replace(config, epochs=12)
    process = command(config)
    wait_for_steps(config, process, 3)
    os.killpg(process.pid, number)  # the workers too, as a terminal, `timeout` and schedulers do
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert f"{number.name}: saved at step" in printed
    assert "the same command resumes" in printed
    assert 3 <= len(losses(config.output)) < 36

    stopped = load_student(config.output / "stopped").checkpoint
    assert stopped is not None
    step = stopped.provenance["steps"]
    assert stopped.name == f"timm-test_resnet-bn-vit_random-24-step-{step}"
    assert f"saved at step {step} of 36" in printed

    checkpoint = load_student(train(config)).checkpoint
    assert not (config.output / "stopped").exists()
    undisturbed = replace(config, output=config.output / "undisturbed")
    train(undisturbed)
    assert losses(config.output) == losses(undisturbed.output)
    assert_same_weights(config.output, undisturbed.output)
    assert checkpoint
    first, second = checkpoint.provenance["command"].splitlines()  # both launches
    assert first.startswith("python -m distillation.train --teacher")
    assert second != first
    assert checkpoint.provenance["device_hours"] == checkpoint.provenance["hours"] > 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_a_resumed_run_counts_its_steps_on_the_cpu(config):
    config = replace(config, epochs=12)
    process = command(config)
    wait_for_steps(config, process, 3)
    process.terminate()
    process.communicate(timeout=120)
    train(config)
    state = torch.load(config.output / "checkpoint.pt", weights_only=True)["optimizer"]["state"][0]
    assert (state["step"].device.type, state["exp_avg"].device.type) == ("cpu", "cuda")


def test_a_run_that_is_killed_at_random_steps_ends_as_an_undisturbed_one(config):
    config = replace(
        config, epochs=12, save_every=2, loss=("mse", "relational"), queue_size=16, standardize=True, ema=0.9
    )
    steps = sorted(random.Random(0).sample(range(2, 30), 3))
    for step in steps:
        process = command(config)
        wait_for_steps(config, process, step)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    train(config)
    undisturbed = replace(config, output=config.output / "undisturbed")
    train(undisturbed)
    assert losses(config.output) == losses(undisturbed.output)
    assert_same_weights(config.output, undisturbed.output)


def test_an_output_folder_of_another_run_is_refused_with_what_differs(config):
    train(replace(config, epochs=1))
    with pytest.raises(ValueError, match=r"run with other settings \(epochs was 1, is 2\).*another --output"):
        train(replace(config, epochs=2))


def test_a_run_on_a_cache_goes_on_with_that_cache_alone(config, cache, parquet, teacher_spec, tmp_path):
    config = replace(config, epochs=1, targets=cache)
    train(config)
    with pytest.raises(ValueError, match=r"targets was cached \(.*\), is online; views_per_image was 2, is None\)"):
        train(replace(config, targets=None))
    with pytest.raises(ValueError, match=r"settings \(targets was cached \(.*\), is online\)"):
        train(replace(config, targets=None, views_per_image=2))
    other = build_cache(tmp_path / "other", parquet, teacher_spec, views=3)
    with pytest.raises(ValueError, match=r"settings \(views_per_image was 2, is 3\)"):
        train(replace(config, targets=other))


def test_group_norm_starts_from_kernels_that_learned_with_batch_norm(resnet18, tmp_path):
    config = resnet18
    kettle = str(train(replace(config, epochs=1, name="kettle", output=tmp_path / "kettle")))
    group = replace(config, epochs=2, norm="group", warm_start=kettle, max_steps=1)
    checkpoint = XDistillResNet18.from_pretrained(train(group), norm="group").checkpoint
    assert checkpoint is not None
    assert checkpoint.provenance["started_from"]["norm"].startswith("batch; group norms calibrated on ")
    once = weights(config.output)["encoder.trunk.layer4.1.bn2.weight"]
    train(group)  # a finished run is left as it is, and is not calibrated again
    assert torch.equal(weights(config.output)["encoder.trunk.layer4.1.bn2.weight"], once)


def test_a_run_goes_on_with_the_warm_start_it_had_alone(resnet18, tmp_path):
    config = resnet18
    torch.manual_seed(5)
    kettle = str(XDistillResNet18("batch").save_pretrained(tmp_path / "kettle"))
    config = replace(config, epochs=1)
    train(config)
    with pytest.raises(ValueError, match=r"settings \(warm_start was None, is [0-9a-f]{64}\)"):
        train(replace(config, warm_start=kettle))
    warm = replace(config, warm_start=kettle, output=tmp_path / "warm")
    train(warm)
    with pytest.raises(ValueError, match=r"settings \(warm_start was [0-9a-f]{64}, is None\)"):
        train(replace(warm, warm_start=None))
    shutil.rmtree(warm.output / "encoder")  # as after a crash between the last save and the export
    moved = shutil.move(kettle, tmp_path / "teapot")
    checkpoint = XDistillResNet18.from_pretrained(train(replace(warm, warm_start=str(moved)))).checkpoint
    assert checkpoint
    assert checkpoint.provenance["started_from"]["name"] == "kettle"


def test_a_run_does_not_go_on_with_images_that_come_in_another_order(config, parquet):
    config = replace(config, epochs=1)
    train(config)
    with pytest.raises(ValueError, match=r"holds a run with other settings \(shards was None, is [0-9a-f]{16}\)"):
        train(replace(config, images=(f"file://{parquet}",)))


def test_a_student_starts_alike_whatever_its_teacher_drew(resnet18, cache):
    config = resnet18
    weights = []
    for name, changes in {"online": {}, "cached": {"targets": cache, "verify_targets": 0}}.items():
        train(replace(config, output=config.output / name, lr=1e-12, max_steps=1, **changes))
        encoder = XDistillResNet18.from_pretrained(config.output / name / "encoder")
        weights.append(encoder.trunk.conv1.weight)
    torch.testing.assert_close(*weights, rtol=1e-3, atol=1e-6)


def test_a_finished_run_is_not_exported_again_unless_its_encoder_is_missing_or_named_otherwise(config, capsys):
    config = replace(config, epochs=1)
    written = train(config) / "config.json"
    before = written.stat().st_mtime_ns
    assert train(config) == written.parent
    assert "this run has ended before" in capsys.readouterr().out
    assert written.stat().st_mtime_ns == before
    train(replace(config, name="kettle"))
    assert json.loads(written.read_text())["name"] == "kettle"
    (written.parent / "model.safetensors").write_bytes(b"cut off")
    train(replace(config, name="kettle"))
    assert load_student(written.parent)(torch.zeros(1, 3, 32, 32)).isfinite().all()


def test_other_images_under_the_same_name_are_another_run_and_the_same_under_another_are_not(config, parquet, tmp_path):
    config = replace(config, epochs=1)
    path = tmp_path / "images.parquet"
    train(config)
    train(replace(config, images=(shutil.copy(parquet, str(path)),)))
    load_parquet([parquet]).select(range(16)).to_parquet(str(path))
    with pytest.raises(ValueError, match="images_fingerprint was .*, is .*"):
        train(replace(config, images=(str(path),)))


# Several processes, several parts of a batch


@pytest.mark.parametrize(("norm", "backbone", "epochs"), [("batch", SMALL, 3), ("group", "resnet18", 1)])
def test_two_processes_give_the_losses_of_one(config, norm, backbone, epochs, free_port):
    config = replace(config, norm=norm, backbone=backbone, epochs=epochs, lr=1e-5)
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2")
    process = command(config, *torchrun, "--master-port", str(free_port), "-m", "distillation.train")
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 0, printed
    train(replace(config, output=config.output / "one"))
    assert losses(config.output) == pytest.approx(losses(config.output / "one"), rel=1e-4)
    assert len(losses(config.output)) == 3 * epochs
    encoder = load_student(config.output / "encoder")
    assert encoder.checkpoint
    assert encoder.checkpoint.provenance["processes"] == 2


def test_several_processes_save_together_when_they_are_asked_to_stop_and_one_ends_their_run(config, free_port):
    config = replace(config, epochs=10, lr=1e-5)
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2")
    process = command(config, *torchrun, "--master-port", str(free_port), "-m", "distillation.train")
    wait_for_steps(config, process, 3)
    process.terminate()
    printed, _ = process.communicate(timeout=60)
    assert "saved at step" in printed
    step = torch.load(config.output / "checkpoint.pt", weights_only=True)["step"]
    assert 3 <= step < 30
    train(config)
    train(replace(config, output=config.output / "undisturbed"))
    assert losses(config.output) == pytest.approx(losses(config.output / "undisturbed"), rel=5e-3)


def test_parts_of_a_batch_add_up_to_the_batch_where_no_layer_mixes_images(config):
    config = replace(config, backbone="timm/test_vit", epochs=3, lr=1e-5, loss=("mse", "relational"), queue_size=16)
    train(config)
    train(replace(config, accumulation=4, output=config.output / "parts"))
    assert losses(config.output) == pytest.approx(losses(config.output / "parts"), rel=1e-4)


# Mistakes


@pytest.mark.parametrize("log_every", [1, 1000])
def test_a_loss_that_is_not_finite_stops_the_run_before_it_is_saved(config, log_every):
    with pytest.raises(FloatingPointError, match=r"step \d+: the loss is not finite; images \d+, \d+, "):
        train(replace(config, lr=1e30, log_every=log_every))
    assert not (config.output / "checkpoint.pt").exists()
    assert not (config.output / "encoder").exists()


def test_weights_that_are_not_finite_are_not_saved_though_the_loss_was(config):
    with pytest.raises(FloatingPointError, match=r"step 1: \d+ of \d+ tensors of weights are not finite, such as"):
        train(replace(config, weight_decay=1e42, save_every=1))
    assert not (config.output / "checkpoint.pt").exists()


def test_a_run_that_fails_says_why_in_a_line_and_ends_its_workers(config):
    process = command(replace(config, lr=1e30))
    printed, _ = process.communicate(timeout=60)  # ends when the workers, who hold the pipe too, are gone
    assert process.returncode == 1
    assert re.search(r"^xdistill distill: step \d+: the loss is not finite", printed, re.MULTILINE)
    assert "Traceback" not in printed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs: expected a number above 0, got 0"),
        ({"views_per_image": 0}, "views_per_image: expected a number above 0, or None, got 0"),
        ({"ema": 1.0}, r"ema: expected a decay in \(0, 1\), such as 0.999, or None, got 1.0"),
        ({"score_bank": ("a",)}, "score_bank, score_queries: a score needs both"),
        ({"loss": ("mae",)}, "loss: expected names among mse, .* got 'mae'"),
        ({"teacher": ()}, "teacher: expected at least one"),
        ({"loss": ("patch",)}, "loss: patch compares maps and teaches the linear layer nothing; add mse"),
        ({"warmup_share": 3.0}, r"warmup_share: expected a share in \[0, 1\], got 3.0"),
        ({"seed": -1}, "seed: expected 0 to 4095, got -1"),
        ({"seed": 4096}, "seed: expected 0 to 4095, got 4096"),
        ({"score_every": 0}, "score_every: expected a number above 0, got 0"),
        ({"image_size": 32, "first_image_size": 64}, "first_image_size: expected at most image_size, got 64"),
        ({"head_norm": True, "batch_size": 4, "accumulation": 4}, "head_norm: a batch norm needs 2 images or more"),
        ({"batch_size": 8, "accumulation": 16}, r"batch_size: 8 cannot be cut into 16 equal parts \(accumulation\)"),
        ({"batch_size": 100, "accumulation": 3}, r"batch_size: 100 cannot .* 3 equal .*; take a multiple of 3"),
    ],
)
def test_settings_out_of_range_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Config(**changes)


def test_a_batch_larger_than_the_images_is_refused(config):
    with pytest.raises(ValueError, match="batch_size: 25 is more than the 24 images"):
        train(replace(config, batch_size=25))


# The command


def test_scores_are_measured_while_it_learns_and_drawn_beside_the_loss(config, parquet, bank):
    train(replace(config, epochs=4, score_bank=(bank,), score_queries=(parquet,), score_every=2))
    rows = [json.loads(line) for line in (config.output / "scores.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [0, 6, 12]
    assert rows[-1]["knn10_percent"] > 90  # dark and bright images
    assert (config.output / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_the_first_score_of_an_average_is_that_of_the_student_as_it_begins(config, parquet, bank):
    scored = replace(config, epochs=1, standardize=True, score_bank=(bank,), score_queries=(parquet,))
    first = []
    for ema in (None, 0.9):
        train(replace(scored, ema=ema, output=config.output / f"{ema}"))
        first.append(json.loads((config.output / f"{ema}" / "scores.jsonl").read_text().splitlines()[0]))
    assert first[0]["step"] == 0
    assert first[0] == first[1]


def test_a_student_of_a_cache_is_compared_with_the_teacher_that_verified_it(config, cache, parquet, bank):
    scored = replace(config, targets=str(cache), epochs=1, score_bank=(bank,), score_queries=(parquet,), score_every=1)
    train(scored)
    rows = [json.loads(line) for line in (config.output / "scores.jsonl").read_text().splitlines()]
    assert [{"teacher_explained_variance", "teacher_cosine"} < set(row) for row in rows] == [True, True]


def test_labelled_images_that_cannot_be_read_are_told_before_the_first_step(config, tmp_path):
    bank = tmp_path / "bank"
    for label in ("dark", "bright"):
        (bank / label).mkdir(parents=True)
        for number in range(11):
            Image.new("RGB", (8, 8)).save(bank / label / f"{number}.png")
    queries = shutil.copytree(bank, tmp_path / "queries")
    (bank / "dark" / "3.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"cannot be read, .*dark/3.png"):
        train(replace(config, score_bank=(str(bank),), score_queries=(str(queries),)))
    assert not (config.output / "log.jsonl").exists()


def test_a_score_embeds_as_many_images_at_once_as_a_step(config, parquet, bank):
    scored = replace(config, batch_size=8, accumulation=4, score_bank=(bank,), score_queries=(parquet,))
    assert make_monitor(scored, Accelerator(cpu=True), 0, ()).loading["batch_size"] == 2


def test_scores_that_a_stop_cut_off_are_measured_when_the_run_resumes(config, parquet, bank):
    config = replace(config, epochs=2, score_bank=(bank,), score_queries=(parquet,), score_every=1)
    train(config)
    scores = config.output / "scores.jsonl"
    whole = scores.read_text()
    scores.write_text("".join(whole.splitlines(keepends=True)[:-1]))
    train(config)
    assert scores.read_text() == whole


def test_a_tracker_gets_the_log_too(config):
    train(replace(config, epochs=1, track=("tensorboard",)))
    events = event_accumulator.EventAccumulator(str(next(config.output.rglob("events.out.*")).parent))
    events.Reload()
    assert [event.value for event in events.Scalars("loss")] == pytest.approx(losses(config.output))


def test_a_tracker_that_is_not_installed_is_refused(config, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ValueError, match="track: wandb is not installed; pip install wandb"):
        train(replace(config, track=("wandb",)))


def test_wandb_gets_the_log_into_the_runs_folder(config, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    train(replace(config, epochs=1, track=("wandb",)))
    recorded = next(config.output.rglob("*.wandb")).read_bytes()
    assert [loss for loss in losses(config.output) if json.dumps(loss).encode() not in recorded] == []


def test_scoring_changes_nothing_that_is_learned(config, parquet, bank):
    config = replace(config, epochs=2)
    train(replace(config, score_bank=(bank,), score_queries=(parquet,), score_every=1))
    train(replace(config, output=config.output / "unscored"))
    assert_same_weights(config.output, config.output / "unscored")


def test_two_runs_do_not_share_a_folder(config):
    with (
        sole_run(config.output, writes=True),
        pytest.raises(ValueError, match="output: another process trains in .*; wait for it, or name another --output"),
    ):
        train(config)
    train(replace(config, epochs=1))
    with sole_run(config.output, writes=True):
        assert (config.output / "encoder").is_dir()  # a run lets its folder go


def test_a_folder_without_locks_is_trained_in(config, monkeypatch, capsys):
    def flock(file, operation):
        if str(getattr(file, "name", "")).endswith("run.lock"):
            raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("xdistill_encoder.file_locks.fcntl.flock", flock)
    train(replace(config, epochs=1))
    assert "a file system without locks" in capsys.readouterr().out


def test_nothing_is_decoded_for_a_run_that_is_refused(config, tmp_path):
    decoded = tmp_path / "decoded"
    with pytest.raises(ValueError, match="none"):
        train(replace(config, decoded=decoded, score_bank=("none",), score_queries=("none",)))
    assert not decoded.exists()


def test_a_plan_tells_rates_hours_and_disk_and_writes_nothing(config, monkeypatch):
    monkeypatch.setattr("distillation.training.plan.MEASURING_SECONDS", 0.2)
    told = plan(replace(config, batch_size=2))  # the probe decodes several batches
    assert "img/s at 32 px, 96 images" in told
    assert "minutes on one process" in told
    assert "MB for checkpoint" in told
    assert not config.output.exists()


def test_the_default_is_the_papers_setting():
    assert PRESETS["paper"] == Config()
    assert Config().teacher == ("timm/vit_large_patch14_dinov2.lvd142m",)
    assert Config().images == ("ILSVRC/imagenet-1k",)
    assert Config().loss == ("mse",)


def test_an_unknown_preset_lists_the_known_ones(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["xdistill distill", "--preset", "tiny"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    printed = capsys.readouterr().err
    assert "argument --preset: invalid choice: 'tiny'" in printed
    assert "paper" in printed
    assert "cpu" in printed
