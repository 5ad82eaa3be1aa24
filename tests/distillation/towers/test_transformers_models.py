import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from distillation.teachers import load_teacher
from tests.distillation.saved_teachers import normalized, randomize, save_transformers, transformers_models

WITH_CLS = {"dinov2": 1, "dinov2_with_registers": 4, "dinov3_vit": 3, "clip": 1, "vit": 1}
"""Tokens before the patches."""


@pytest.mark.parametrize("kind", WITH_CLS)
@torch.no_grad()
def test_the_class_token_is_that_of_transformers_own_forward(tmp_path, kind):
    folder, model, _ = save_transformers(tmp_path, kind)
    teacher = load_teacher(folder)
    images = torch.randint(0, 256, (2, 3, teacher.image_size, teacher.image_size), dtype=torch.uint8)
    outputs = (model.vision_model if kind == "clip" else model)(normalized(images, (0.5, 0.4, 0.3), (0.5, 0.6, 0.7)))
    embedding, patches = teacher.embed(images)
    tokens = outputs.last_hidden_state
    if kind == "clip":  # whose final norm transformers applies to the class token alone
        torch.testing.assert_close(embedding, outputs.pooler_output)
        tokens = next(module for name, module in model.named_modules() if name.endswith("post_layernorm"))(tokens)
    torch.testing.assert_close(embedding, tokens[:, 0])
    torch.testing.assert_close(patches.flatten(2).transpose(1, 2), tokens[:, WITH_CLS[kind] :])
    average = load_teacher(folder, embedding="avg")
    torch.testing.assert_close(average(images), tokens[:, WITH_CLS[kind] :].mean(dim=1))
    assert not teacher.has_classifier


@pytest.mark.parametrize("kind", ["siglip", "siglip2", "convnext", "dinov3_convnext"])
@torch.no_grad()
def test_without_class_token_the_average_is_that_of_transformers_own_forward(tmp_path, kind):
    folder, model, processor = save_transformers(tmp_path, kind)
    with pytest.raises(ValueError, match=rf"teacher {kind}: \w+ has no \[CLS\] token .*; its embeddings are: avg"):
        load_teacher(folder)
    teacher = load_teacher(folder, embedding="avg")
    images = torch.randint(0, 256, (2, 3, teacher.image_size, teacher.image_size), dtype=torch.uint8)
    pixels = normalized(images, (0.5, 0.4, 0.3), (0.5, 0.6, 0.7))
    if kind == "siglip2":
        inputs = processor(list(images), return_tensors="pt")
        expected = model(inputs["pixel_values"], inputs["pixel_attention_mask"], inputs["spatial_shapes"])
    else:
        expected = (model.vision_model if kind == "siglip" else model)(pixels)
    embedding, patches = teacher.embed(images)
    pooled = expected.last_hidden_state.mean(dim=1) if "siglip" in kind else expected.pooler_output
    torch.testing.assert_close(embedding, pooled, rtol=1e-4, atol=1e-5)
    assert patches.shape == (
        2,
        teacher.num_patch_features,
        *[teacher.image_size // (8 if "siglip" in kind else 32)] * 2,
    )
    if "siglip" in kind:
        flat = patches.flatten(2).transpose(1, 2)
        torch.testing.assert_close(flat, expected.last_hidden_state, rtol=1e-4, atol=1e-5)


def test_dinov2_takes_any_multiple_of_its_patch(tmp_path):
    folder, model, _ = save_transformers(tmp_path, "dinov2")
    teacher = load_teacher(folder, image_size=84)
    images = torch.rand(1, 3, 84, 84)
    torch.testing.assert_close(teacher(images), model((images - teacher.mean) / teacher.std).pooler_output)
    assert (teacher.image_size, teacher.preprocessing.resize_px) == (84, 96)  # 64 / 56 of it
    with pytest.raises(ValueError, match="image_size: expected a multiple of the patch size, 14 px, got 80"):
        load_teacher(folder, image_size=80)


@pytest.mark.parametrize("kind", ["clip", "siglip", "vit"])
@torch.no_grad()
def test_position_embeddings_are_resampled_as_transformers_does(tmp_path, kind):
    folder, model, _ = save_transformers(tmp_path, kind)
    teacher = load_teacher(folder, image_size=48, embedding="avg")
    images = torch.rand(1, 3, 48, 48)
    network = model if kind == "vit" else model.vision_model
    tokens = network((images - teacher.mean) / teacher.std, interpolate_pos_encoding=True).last_hidden_state
    if kind != "clip":
        torch.testing.assert_close(teacher(images), tokens[:, int(kind == "vit") :].mean(dim=1))
    assert teacher.embed(images)[1].shape == (1, 32, 6, 6)


@pytest.mark.parametrize("kind", ["dinov2", "vit", "convnext"])
@torch.no_grad()
def test_a_checkpoint_with_classifier_gives_transformers_logits(tmp_path, kind):
    transformers = pytest.importorskip("transformers")
    body, processor = transformers_models()[kind]()
    body.config.num_labels = 5
    model = randomize(
        getattr(transformers, f"{type(body).__name__.removesuffix('Model')}ForImageClassification")(body.config)
    )
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    teacher = load_teacher(str(tmp_path), embedding="avg")
    images = torch.rand(2, 3, teacher.image_size, teacher.image_size)
    pixels = (images - teacher.mean) / teacher.std
    torch.testing.assert_close(teacher.classify(images), model(pixels).logits)
    assert teacher.fingerprint == fingerprint_of_the_body_alone(model, processor, kind, tmp_path / "body")


def fingerprint_of_the_body_alone(model: Any, processor: Any, kind: str, folder: Path) -> str:
    """That of the same weights saved without the classifier."""
    getattr(model, kind).save_pretrained(folder)
    processor.save_pretrained(folder)
    return load_teacher(str(folder), embedding="avg").fingerprint


@pytest.mark.parametrize("kind", ["dinov2", "vit", "siglip"])
def test_autocast_to_bfloat16_leaves_the_embedding_float32_and_close(tmp_path, kind):
    """At a size where the position embedding is resampled, which bfloat16 would blur."""
    teacher = load_teacher(save_transformers(tmp_path, kind)[0], image_size=112, embedding="avg")
    images = torch.rand(2, 3, 112, 112)
    with torch.autocast("cpu", torch.bfloat16):
        rounded, patches = teacher.embed(images)
    assert (rounded.dtype, patches.dtype) == (torch.float32, torch.float32)
    exact = teacher(images)
    assert (rounded - exact).norm() / exact.norm() < 0.02


def damage(folder: Path, kind: str) -> None:
    if kind == "no image processor":
        (folder / "preprocessor_config.json").unlink()
    elif kind == "other architecture":
        (folder / "config.json").write_text('{"model_type": "bert"}')
    elif kind == "a tensor short":
        tensors = load_file(folder / "model.safetensors")
        tensors.pop("layernorm.bias")
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("no image processor", "no preprocessor_config.json, which says the images' size and normalisation"),
        ("other architecture", "expected a model_type of clip, .*dinov2.*got 'bert'"),
        ("a tensor short", "the weights lack 1 of the model's tensors, layernorm.bias among them"),
    ],
)
def test_a_damaged_folder_is_refused_with_the_reason(tmp_path, kind, message):
    folder, _, _ = save_transformers(tmp_path, "dinov2")
    damage(Path(folder), kind)
    with pytest.raises(ValueError, match=message):
        load_teacher(folder)


def test_without_transformers_its_folders_are_refused_with_the_command_that_installs_it(tmp_path, monkeypatch):
    folder, _, _ = save_transformers(tmp_path, "dinov2")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match="pip install 'transformers>=4.56'"):
        load_teacher(folder)
