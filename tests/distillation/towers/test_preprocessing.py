from typing import Any

import pytest
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_model_data_config

from distillation.teachers import load_teacher
from distillation.towers.preprocessing import from_timm, from_transformers
from tests.distillation.saved_teachers import normalized, save_timm, save_transformers, smooth_image


def test_the_evaluation_transform_is_timms(tmp_path):
    folder, _ = save_timm(tmp_path, "vit_tiny_patch16_224", img_size=32, depth=1)
    teacher = load_teacher(folder)
    photograph = smooth_image(60, 91)
    theirs: Any = create_transform(**resolve_model_data_config(timm.create_model(f"local-dir:{folder}")))
    expected = theirs(Image.fromarray(photograph.permute(1, 2, 0).numpy()))
    assert (teacher.preprocessing.resize_px, teacher.interpolation) == (35, "bicubic")  # 32 / 0.9, rounded down
    difference = (
        normalized(teacher.preprocessing.prepare(photograph), teacher.preprocessing.mean, teacher.preprocessing.std)
        - expected
    )
    assert (difference * torch.tensor(teacher.preprocessing.std).view(3, 1, 1)).abs().max() < 2 / 255


@pytest.mark.parametrize("kind", ["dinov2", "clip", "siglip", "vit", "convnext"])
def test_the_evaluation_transform_is_that_of_the_image_processor(tmp_path, kind):
    folder, _, processor = save_transformers(tmp_path, kind)
    teacher = load_teacher(folder, embedding="avg")
    photograph = smooth_image(100, 125)
    pixels = processor(Image.fromarray(photograph.permute(1, 2, 0).numpy()), return_tensors="pt")["pixel_values"]
    theirs = pixels * teacher.std + teacher.mean
    assert (teacher.preprocessing.prepare(photograph)[None] / 255 - theirs).abs().max() < 2 / 255


CROP = {
    "size": {"shortest_edge": 256},
    "crop_size": {"height": 224, "width": 224},
    "do_center_crop": True,
    "resample": 3,
    "image_mean": (0.5, 0.5, 0.5),
    "image_std": (0.5, 0.5, 0.5),
}
"""As DINOv2 has it."""
CENTER = {"input_size": (3, 224, 224), "crop_mode": "center", "crop_pct": 0.9, "interpolation": "bicubic"}
STATISTICS = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}


@pytest.mark.parametrize(
    ("entries", "image_size", "sizes"),
    [
        (CROP, None, (224, 256, True)),
        (CROP, 518, (518, 592, True)),  # the same 7 / 8 of the shorter side
        (CROP | {"do_center_crop": False}, None, (256, 256, True)),
        ({**CROP, "size": {"height": 256, "width": 256}}, None, (224, 256, False)),
        (CROP | {"size": {"shortest_edge": 224}, "crop_pct": 0.875}, None, (224, 256, True)),  # ConvNeXt's rule
        (CROP | {"size": {"shortest_edge": 384}, "crop_pct": 0.875}, None, (384, 384, False)),
        (CROP | {"max_num_patches": 256, "patch_size": 16}, None, (256, 256, True)),  # NaFlex: 16 x 16 patches
    ],
)
def test_sizes_are_those_of_the_image_processor(entries, image_size, sizes):
    found = from_transformers(entries, image_size)
    assert (found.image_size, found.resize_px, found.keep_aspect) == sizes
    assert found.configured_px == from_transformers(entries, None).image_size


def test_without_normalisation_pixels_stay_as_they_are():
    found = from_transformers(CROP | {"do_normalize": False}, None)
    assert (found.mean, found.std) == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"do_rescale": False}, "do_resize, do_rescale: expected true"),
        ({"rescale_factor": 1 / 127.5}, "rescale_factor: expected 1 / 255, the image processor has 0.0078"),
        ({"resample": 1}, r"resample: expected 2 \(bilinear\) or 3 \(bicubic\), the teacher's image processor has 1"),
        ({"size": {"height": 224, "width": 160}}, "size: expected one side or a square, .*160"),
        ({"crop_size": {"height": 224, "width": 160}}, "crop_size: expected a square, .*160"),
    ],
)
def test_a_rule_of_transformers_that_is_not_known_here_is_refused(entries, message):
    with pytest.raises(ValueError, match=message):
        from_transformers(CROP | entries, None)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"input_size": (3, 224, 160)}, "input_size: expected square images, .* 224 x 160 px"),
        ({"crop_mode": "border"}, "crop_mode: expected center or squash, .* border"),
        ({"interpolation": "nearest"}, "interpolation: expected one of bilinear, bicubic, got 'nearest'"),
    ],
)
def test_a_rule_of_timm_that_is_not_known_here_is_refused(entries, message):
    with pytest.raises(ValueError, match=message):
        from_timm(CENTER | STATISTICS | entries, None)


def test_an_image_size_keeps_timms_share_of_the_image():
    found = from_timm(CENTER | STATISTICS, 448)
    assert (found.image_size, found.resize_px, found.configured_px) == (448, 497, 224)  # 448 / 0.9, rounded down
