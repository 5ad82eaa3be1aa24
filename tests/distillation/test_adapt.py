import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from distillation.adapt import Config, adapt, describe
from distillation.adapting import guard
from distillation.adapting.guard import WATCHED
from xdistill_encoder import XDistillResNet18

CPU = torch.device("cpu")


@pytest.fixture
def encoder(tmp_path):
    """A student of a teacher of 192 features at 32 px, as a distillation leaves it."""
    torch.manual_seed(0)
    provenance = {"teachers": [{"name": "vit", "image_size": 32, "embedding": "cls"}], "settings": {"image_size": 32}}
    return XDistillResNet18("batch", teacher_features=192).save_pretrained(tmp_path / "old", provenance=provenance)


@pytest.fixture
def config(encoder, tmp_path, parquet, teacher_spec):
    """20 frames of one place, 24 general images."""
    (tmp_path / "frames").mkdir()
    rng = np.random.default_rng(0)
    scene = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    for number in range(20):
        moved = np.roll(scene, number % 8, axis=1)
        Image.fromarray(moved).resize((64, 48)).save(tmp_path / "frames" / f"{number:02}.png")
    return Config(
        frames=(str(tmp_path / "frames"),),
        teacher=(teacher_spec,),
        remember=(parquet,),
        encoder=str(encoder),
        output=tmp_path / "adapted",
        views_per_image=2,
        epochs=4,
        batch_size=8,
        lr=1e-3,
        mixed_precision="no",
        workers=0,
    )


def test_an_encoder_comes_nearer_to_its_teacher_on_frames_that_it_has_not_seen(config):
    result = adapt(config, CPU)
    assert result["after"]["frames"][WATCHED] > result["before"]["frames"][WATCHED]
    fall = result["before"]["general"][WATCHED] - result["after"]["general"][WATCHED]
    assert fall <= config.max_forgotten
    assert result["held_out"] == {"frames": 2, "general": 2}
    adapted = XDistillResNet18.from_pretrained(config.output / "encoder")
    assert adapted.checkpoint is not None
    assert adapted.checkpoint.name == "old-adapted"
    assert adapted.checkpoint.provenance["adaptation"] == result
    assert json.loads((config.output / "adaptation.json").read_text()) == result
    cosines = [f"{result[when]['general']['teacher_cosine']:.3f}" for when in ("before", "after")]
    (general,) = [line for line in describe(result).splitlines() if line.startswith("general")]
    assert general.split()[-2:] == cosines
    again = adapt(config, CPU)  # nothing is computed twice, and nothing changes
    assert again == result


def test_without_general_images_it_must_be_said(config):
    with pytest.raises(ValueError, match="remember: give general images, .* or --unguarded"):
        replace(config, remember=())
    with pytest.raises(ValueError, match="unguarded: general images are given"):
        replace(config, unguarded=True)
    result = adapt(replace(config, remember=(), unguarded=True), CPU)
    assert list(result["held_out"]) == ["frames"]


def test_an_adaptation_that_gains_nothing_is_refused_and_nothing_is_written(config, monkeypatch):
    monkeypatch.setattr(guard, "SHARES", (0.0,))  # the old weights alone
    with pytest.raises(ValueError, match="no point between old and new weights .*The old encoder is the better one"):
        adapt(replace(config, epochs=1), CPU)
    assert not (config.output / "encoder").exists()


def test_several_processes_are_refused_before_they_do_anything(config, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "8")
    with pytest.raises(ValueError, match="one process on one GPU, the launcher started 8; leave torchrun out"):
        adapt(config, torch.device("cpu"))
    assert not config.output.exists()


def test_frames_are_no_general_images(config):
    with pytest.raises(ValueError, match="remember: .* is among the frames too, so that nothing general would be"):
        adapt(replace(config, frames=(*config.frames, *config.remember)), CPU)


def test_another_teacher_than_the_encoders_is_refused(config, teacher_spec):
    with pytest.raises(ValueError, match=r"teacher: old was distilled from vit, got .*; give all, in their order"):
        adapt(replace(config, teacher=(teacher_spec, teacher_spec)), CPU)
