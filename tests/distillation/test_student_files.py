import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch

from distillation.ablation_encoders import AblationEncoder
from distillation.student_files import is_exported, load_student, save_student
from xdistill_encoder import CheckpointError, XDistillResNet18
from xdistill_encoder.checkpoint_config import CheckpointConfig

TIMM_VIT = "timm/test_vit"  # timm's own for tests, 0.4 million parameters
NAME = "test_vit-batch-vit_random-24"
MADE: dict[str, Any] = {"teacher": "vit_random", "steps": 90, "settings": {"image_size": 32, "loss": ["mse"]}}


@pytest.fixture
def encoder() -> AblationEncoder:
    """The smallest."""
    return AblationEncoder(TIMM_VIT, "batch", 8)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def rewrite(folder: Path, **changes: Any) -> None:
    """Entries of config.json, changed by hand."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_resnet18_is_written_and_read_as_the_product_does_it(random_encoder, tmp_path):
    encoder = random_encoder()
    folder = save_student(encoder, tmp_path / "ours", "a name", {"teacher": "t"})
    encoder.save_pretrained(tmp_path / "theirs", name="a name", provenance={"teacher": "t"}, half=True)
    assert content(folder) == content(tmp_path / "theirs")
    assert isinstance(load_student(folder), XDistillResNet18)


@pytest.mark.parametrize(("backbone", "norm"), [("resnet34", "group"), (TIMM_VIT, "batch")])
def test_another_backbone_comes_back_in_eval_mode_as_float16_holds_it(backbone, norm, tmp_path, images):
    encoder = AblationEncoder(backbone, norm, 8)
    folder = save_student(encoder, tmp_path / "a" / "encoder", "a name", {"teacher": "Größe"})
    assert sorted(content(folder)) == ["config.json", "model.safetensors"]
    loaded = load_student(str(folder))
    assert isinstance(loaded, AblationEncoder)
    assert not loaded.training
    assert loaded.checkpoint is not None
    assert (loaded.checkpoint.architecture, loaded.checkpoint.norm) == (backbone, norm)
    assert (loaded.checkpoint.name, loaded.checkpoint.provenance) == ("a name", {"teacher": "Größe"})
    stored = {key: value.half().float() for key, value in encoder.state_dict().items()}
    assert stored.keys() == loaded.state_dict().keys()
    assert all(torch.equal(value, stored[key]) for key, value in loaded.state_dict().items())
    assert loaded.teacher_embedding(images).shape == (2, 8)


def test_the_product_refuses_another_backbone(encoder, tmp_path):
    with pytest.raises(CheckpointError, match="architecture: expected 'resnet18'"):
        XDistillResNet18.from_pretrained(save_student(encoder, tmp_path, "a name", {}))


def test_what_cannot_be_stored_is_refused_and_the_old_files_stay(encoder, tmp_path):
    folder = save_student(encoder, tmp_path, "first", {})
    before = content(folder)
    for provenance in ({"loss": float("nan")}, {"teacher": object()}):
        with pytest.raises(ValueError, match=r"provenance: expected what JSON holds .*, got \{"):
            save_student(encoder, tmp_path, "second", provenance)
    encoder.teacher_head.bias.data[0] = -1e6
    with pytest.raises(ValueError, match="teacher_head.bias reaches 1e.06, float16 ends at 65504; lower the rates"):
        save_student(encoder, tmp_path, "second", {})
    assert content(folder) == before


def test_a_file_that_cannot_take_its_place_leaves_nothing_half_written(encoder, tmp_path):
    (tmp_path / "config.json").mkdir()
    with pytest.raises(OSError, match="config.json"):
        save_student(encoder, tmp_path, "a name", {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]


def test_a_folder_that_a_distillation_did_not_write_is_refused(tmp_path):
    names = sorted(field.name for field in fields(CheckpointConfig))
    with pytest.raises(ValueError, match=rf"{tmp_path}: no config.json, so this is no xdistill-encoder checkpoint"):
        load_student(tmp_path)
    for found in ({"model_type": "vit"}, names):
        (tmp_path / "config.json").write_text(json.dumps(found))
        with pytest.raises(ValueError, match="no format_version, so this is no xdistill-encoder checkpoint"):
            load_student(tmp_path)
    (tmp_path / "config.json").write_text('{"name": "a na')
    with pytest.raises(ValueError, match=r"config.json: not readable as JSON \(.*copy the whole folder again"):
        load_student(tmp_path)


def test_weights_that_are_not_those_of_the_config_are_refused(encoder, tmp_path):
    weights = save_student(encoder, tmp_path, "a name", {}) / "model.safetensors"
    whole = weights.read_bytes()
    for damaged in (whole[:-1], b"", whole[:-1] + bytes([whole[-1] ^ 1])):
        weights.write_bytes(damaged)
        with pytest.raises(ValueError, match=f"{weights}: .* truncated, damaged or of another checkpoint"):
            load_student(tmp_path)
    weights.unlink()
    with pytest.raises(ValueError, match="config.json is there, model.safetensors is not"):
        load_student(tmp_path)
    weights.write_bytes(whole)
    rewrite(tmp_path, architecture="timm/test_convnext")
    with pytest.raises(ValueError, match="missing keys"):
        load_student(tmp_path)


def test_a_folder_of_another_format_version_is_refused(encoder, tmp_path):
    folder = save_student(encoder, tmp_path, "a name", {})
    rewrite(folder, format_version=2)
    with pytest.raises(ValueError, match=r"config.json: format version 2, this xdistill-encoder reads 1"):
        load_student(folder)


# ---- of a run that has ended


@pytest.fixture
def run_folder(tmp_path) -> Path:
    """Of a run that has left its encoder."""
    encoder = AblationEncoder("timm/test_vit", "batch", 8)
    return save_student(encoder, tmp_path / "encoder", NAME, MADE | {"date": "2026-11-23"})


def test_an_encoder_is_known_by_its_name_and_by_what_made_it(run_folder):
    assert is_exported(run_folder, NAME, MADE)
    assert is_exported(run_folder, NAME, {})
    assert not is_exported(run_folder, "another name", MADE)


@pytest.mark.parametrize(
    "changes", [{"steps": 91}, {"settings": {"image_size": 32, "loss": ["cosine"]}}, {"commit": "0123456789ab"}]
)
def test_an_encoder_that_something_else_made_is_another(run_folder, changes):
    assert not is_exported(run_folder, NAME, MADE | changes)


def test_what_made_it_is_compared_as_json_holds_it(run_folder):
    assert is_exported(run_folder, NAME, {"settings": {"image_size": 32, "loss": ("mse",)}})


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_an_encoder_whose_writing_was_cut_off_is_none(run_folder, file):
    content = (run_folder / file).read_bytes()
    (run_folder / file).write_bytes(content[: len(content) // 2])
    assert not is_exported(run_folder, NAME, MADE)
    (run_folder / file).unlink()
    assert not is_exported(run_folder, NAME, MADE)
    assert not is_exported(run_folder / "nowhere", NAME, MADE)
