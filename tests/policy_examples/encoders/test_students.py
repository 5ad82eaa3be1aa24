import json
import shutil
from functools import cache
from typing import Any, Literal

import pytest
import torch
from torch.nn import functional as F

from distillation.student_files import load_student
from distillation.students import Student
from policy_examples.encoders import empty_encoder, load_encoder
from tests.distillation.saved_teachers import randomize
from xdistill_encoder.readouts import spatial_softmax

SETTINGS = {"settings": {"image_size": 64}}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """(backbone, norm, with_size) -> folder of a student with random weights, as a distillation writes it."""

    @cache
    def save(backbone: str, norm: Literal["batch", "group"] = "batch", with_size: bool = True) -> str:
        student = randomize(Student((8,), backbone, norm))
        return str(student.save(tmp_path_factory.mktemp("student"), "an ablation", SETTINGS if with_size else {}))

    return save


@torch.no_grad()
@pytest.mark.parametrize("backbone", ["resnet34", "timm/convnext_atto"])
def test_a_convnet_student_gives_the_features_that_it_was_distilled_to_give(saved, backbone, frames):
    folder = saved(backbone)
    distilled = load_student(folder)
    encoder = load_encoder("student", folder).eval()
    assert encoder.image_size_px is None
    torch.testing.assert_close(encoder(frames)[:, 0], distilled(frames[:, 0]))
    embedding = load_encoder("student", folder, readout="teacher_embedding").eval()
    assert embedding.num_features == 8
    torch.testing.assert_close(embedding(frames)[:, 0], distilled.teacher_embedding(frames[:, 0]))


@torch.no_grad()
def test_a_transformer_student_sees_squares_of_the_size_of_its_distillation(saved, frames):
    folder = saved("timm/vit_tiny_patch16_224")
    encoder = load_encoder("student", folder).eval()
    resized = F.interpolate(frames[:, 0] / 255, (64, 64), mode="bilinear", antialias=True)
    assert (encoder.image_size_px, encoder.norm) == (64, None)
    torch.testing.assert_close(encoder(frames)[:, 0], load_student(folder)(resized), atol=1e-4, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize(
    "backbone", ["resnet34", "timm/vit_tiny_patch16_224", "timm/convnext_atto", "timm/mambaout_femto"]
)
def test_spatial_softmax_of_a_student_reads_its_last_map(saved, backbone):
    folder, frames = saved(backbone), torch.rand(2, 1, 3, 64, 64)
    distilled: Any = load_student(folder)
    _, feature_map = distilled.features_and_map(frames[:, 0])
    encoder = load_encoder("student", folder, readout="spatial_softmax").eval()
    assert encoder.num_features == 2 * feature_map.shape[1]
    torch.testing.assert_close(encoder(frames)[:, 0], spatial_softmax(feature_map), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("readout", ["pooled", "spatial_softmax", "teacher_embedding"])
@pytest.mark.parametrize("backbone", ["resnet34", "timm/vit_tiny_patch16_224", "timm/convnext_atto"])
def test_everything_that_is_given_to_an_optimizer_learns(saved, backbone, readout, frames):
    encoder = load_encoder("student", saved(backbone), readout=readout)
    encoder(frames).square().sum().backward()
    groups = encoder.param_groups(1e-4, 0.0)
    assert all(parameter.grad is not None for group in groups for parameter in group["params"])


def test_a_resnet_student_keeps_the_norm_that_it_was_distilled_with(saved):
    batch, group = saved("resnet34"), saved("resnet34", "group")
    assert load_encoder("student", batch).norm == "frozen"
    assert load_encoder("student", group).norm == "group"
    with pytest.raises(
        ValueError, match="norm: an ablation was distilled with 'batch' norm, got 'group'; leave it out"
    ):
        load_encoder("student", batch, "group")
    with pytest.raises(ValueError, match="norm: an ablation was distilled with 'group' norm, got 'frozen'"):
        load_encoder("student", group, "frozen")
    with pytest.raises(ValueError, match="norm: student timm/convnext_atto comes with its own layers, got 'group'"):
        load_encoder("student", saved("timm/convnext_atto"), "group")


def test_a_student_is_rebuilt_from_its_description(saved):
    for backbone in ("resnet34", "timm/vit_tiny_patch16_224"):
        encoder = load_encoder("student", saved(backbone), readout="teacher_embedding")
        rebuilt = empty_encoder(json.loads(json.dumps(encoder.saved)))
        rebuilt.load_state_dict(encoder.state_dict(), strict=True)
        assert (rebuilt.num_features, rebuilt.image_size_px) == (8, encoder.image_size_px)


def test_a_transformer_student_of_unknown_size_needs_one(saved):
    folder = saved("timm/vit_tiny_patch16_224", with_size=False)
    with pytest.raises(ValueError, match="image_size_px: .* does not say at which size it was distilled; name a size"):
        load_encoder("student", folder)
    assert load_encoder("student", folder, image_size_px=96).image_size_px == 96


def test_a_folder_that_holds_no_student_is_refused(saved, random_encoder, tmp_path):
    with pytest.raises(ValueError, match="checkpoint: student needs the folder .* got None"):
        load_encoder("student")
    with pytest.raises(
        ValueError, match=r"checkpoint: .*no config.json, .*; name a folder that .* or `xdistill distill` wrote\.$"
    ):
        load_encoder("student", str(tmp_path))
    resnet18 = random_encoder().save_pretrained(tmp_path / "resnet18")
    with pytest.raises(ValueError, match="holds a ResNet-18; load it as encoder 'xdistill', not 'student'"):
        load_encoder("student", str(resnet18))
    damaged = shutil.copytree(saved("timm/convnext_atto"), tmp_path / "damaged")
    (damaged / "model.safetensors").write_bytes(b"short")
    with pytest.raises(ValueError, match="truncated, damaged or of another checkpoint: copy the whole folder again"):
        load_encoder("student", str(damaged))
    (damaged / "config.json").write_text('{"model_type": "dinov2"}')
    with pytest.raises(ValueError, match="no format_version, so this is no xdistill-encoder checkpoint"):
        load_encoder("student", str(damaged))


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ("timm/resnet10t", "has batch norm, whose statistics the averaged policy that is evaluated would not have"),
        ("timm/no_such_model", "expected resnet34, resnet50 or timm/<model>, got 'timm/no_such_model'"),
        ("vgg11", "expected resnet34, resnet50 or timm/<model>, got 'vgg11'"),
    ],
)
def test_an_architecture_that_a_policy_cannot_use_is_refused(architecture, message):
    saved = {"name": "student", "norm": None, "readout": "pooled", "image_size_px": None, "origin": None}
    with pytest.raises(ValueError, match=message):
        empty_encoder(saved | {"architecture": architecture, "teacher_features": 8})
