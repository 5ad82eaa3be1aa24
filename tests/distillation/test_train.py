import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from distillation.datasets import load_table
from distillation.train import PRESETS, Config, train
from xdistill_encoder import XDistillResNet18

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config(tmp_path, parquet, teacher_spec):
    return Config(
        teacher=teacher_spec,
        teacher_image_size=None,
        images=(parquet,),
        output=tmp_path / "run",
        image_size=32,
        views_per_image=2,
        epochs=4,
        batch_size=8,
        workers=0,
        log_every=1,
        mixed_precision="no",
    )


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "log.jsonl").read_text().splitlines()]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "checkpoint.pt", weights_only=True)["model"]


def test_the_student_learns_and_the_exported_encoder_is_the_one_that_learned(config):
    folder = train(replace(config, epochs=30))
    curve = losses(config.output)
    assert sum(curve[-5:]) < 0.5 * sum(curve[:5])
    encoder = XDistillResNet18.from_pretrained(folder)
    trained = weights(config.output)["encoder.trunk.layer4.1.conv2.weight"]
    torch.testing.assert_close(
        encoder.get_parameter("trunk.layer4.1.conv2.weight"), trained, rtol=2**-11, atol=2**-14
    )  # float16
    assert encoder.checkpoint
    provenance = encoder.checkpoint.provenance
    assert (provenance["teacher"], provenance["images"], provenance["steps"]) == ("vit_random", 24, 90)
    assert provenance["settings"]["views_per_image"] == 2


def test_a_warm_start_keeps_the_provenance_of_what_it_started_from(config):
    first = train(replace(config, epochs=1, name="kettle"))
    again = replace(config, epochs=1, warm_start=str(first), output=config.output / "again")
    checkpoint = XDistillResNet18.from_pretrained(train(again)).checkpoint
    assert checkpoint
    origin = checkpoint.provenance["started_from"]
    assert (origin["name"], origin["provenance"]["steps"]) == ("kettle", 3)


def test_cached_and_online_embeddings_of_the_same_views_give_the_same_losses(config):
    config = replace(config, epochs=2, lr=1e-5)  # so small that rounding is not amplified
    train(config)
    train(replace(config, views_per_image=None, output=config.output / "online"))
    cached, online = losses(config.output), losses(config.output / "online")
    assert cached == pytest.approx(online, rel=2e-3)  # the cache is float16
    assert len(cached) == 6


def start(config: Config) -> subprocess.Popen:
    command = [sys.executable, "-m", "distillation.train", "--teacher", config.teacher, "--images", *config.images]
    command += ["--output", str(config.output), "--image-size", "32", "--views-per-image", "2", "--batch-size", "8"]
    command += ["--epochs", str(config.epochs), "--workers", "1", "--log-every", "1", "--mixed-precision", "no"]
    command += ["--teacher-image-size", "None"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, cwd=config.output.parent, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_leaves_and_the_resumed_run_ends_as_an_undisturbed_one(config, number):
    config = replace(config, epochs=12)
    process = start(config)
    log, deadline = config.output / "log.jsonl", time.monotonic() + 120
    while not (log.exists() and log.read_text().count("\n") >= 3):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, number)  # the workers too, as a terminal, `timeout` and schedulers do
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert f"{number.name}: saved at step" in printed
    assert "the same command resumes" in printed
    assert 3 <= len(losses(config.output)) < 36

    train(config)
    undisturbed = replace(config, output=config.output / "undisturbed")
    train(undisturbed)
    assert losses(config.output) == losses(undisturbed.output)
    for key, value in weights(undisturbed.output).items():
        assert torch.equal(weights(config.output)[key], value), key


def test_an_output_folder_of_another_run_is_refused_with_what_differs(config):
    train(replace(config, epochs=1))
    with pytest.raises(ValueError, match=r"run with other settings \(epochs was 1, is 2\).*another --output"):
        train(replace(config, epochs=2))


def test_other_images_under_the_same_name_are_another_run_and_the_same_under_another_are_not(config, parquet, tmp_path):
    config = replace(config, epochs=1, views_per_image=None)
    path = tmp_path / "images.parquet"
    train(config)
    train(replace(config, images=(shutil.copy(parquet, str(path)),)))
    load_table([parquet]).select(range(16)).to_parquet(str(path))
    with pytest.raises(ValueError, match="images_fingerprint was .*, is .*"):
        train(replace(config, images=(str(path),)))


@pytest.mark.parametrize("log_every", [1, 1000])
def test_a_loss_that_is_not_finite_stops_the_run_before_it_is_saved(config, log_every):
    with pytest.raises(FloatingPointError, match=r"step \d+: loss is (nan|inf)"):
        train(replace(config, lr=1e30, log_every=log_every))
    assert not (config.output / "checkpoint.pt").exists()
    assert not (config.output / "encoder").exists()


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match="epochs: expected a number above 0, got 0"):
        Config(epochs=0)
    with pytest.raises(ValueError, match="views_per_image: expected 1 or more, or None, got 0"):
        Config(views_per_image=0)


def test_a_batch_larger_than_the_images_is_refused(config):
    with pytest.raises(ValueError, match="batch_size: 25 is more than the 24 images"):
        train(replace(config, batch_size=25))


def test_the_default_is_the_papers_setting():
    assert PRESETS["paper"] == Config()
    assert Config().teacher == "timm/vit_large_patch14_dinov2.lvd142m"
    assert Config().images == ("ILSVRC/imagenet-1k",)


def test_an_unknown_preset_lists_the_known_ones():
    command = [sys.executable, "-m", "distillation.train", "--preset", "tiny"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 2
    assert "argument --preset: invalid choice: 'tiny'" in result.stderr
    assert "paper" in result.stderr
    assert "cpu" in result.stderr
