from pathlib import Path
from typing import Any

import pytest

from distillation.ablation_encoders import AblationEncoder
from distillation.student_files import save_student
from distillation.training.export import is_exported

NAME = "test_vit-batch-vit_random-24"
MADE: dict[str, Any] = {"teacher": "vit_random", "steps": 90, "settings": {"image_size": 32, "loss": ["mse"]}}


@pytest.fixture
def folder(tmp_path) -> Path:
    """Of a run that has left its encoder."""
    encoder = AblationEncoder("timm/test_vit", "batch", 8)
    return save_student(encoder, tmp_path / "encoder", NAME, MADE | {"date": "2026-11-23"})


def test_an_encoder_is_known_by_its_name_and_by_what_made_it(folder):
    assert is_exported(folder, NAME, MADE)
    assert is_exported(folder, NAME, {})
    assert not is_exported(folder, "another name", MADE)


@pytest.mark.parametrize(
    "changes", [{"steps": 91}, {"settings": {"image_size": 32, "loss": ["cosine"]}}, {"commit": "0123456789ab"}]
)
def test_an_encoder_that_something_else_made_is_another(folder, changes):
    assert not is_exported(folder, NAME, MADE | changes)


def test_what_made_it_is_compared_as_json_holds_it(folder):
    assert is_exported(folder, NAME, {"settings": {"image_size": 32, "loss": ("mse",)}})


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_an_encoder_whose_writing_was_cut_off_is_none(folder, file):
    content = (folder / file).read_bytes()
    (folder / file).write_bytes(content[: len(content) // 2])
    assert not is_exported(folder, NAME, MADE)
    (folder / file).unlink()
    assert not is_exported(folder, NAME, MADE)
    assert not is_exported(folder / "nowhere", NAME, MADE)
