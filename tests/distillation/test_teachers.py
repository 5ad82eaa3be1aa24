import shutil
from typing import Any

import numpy as np
import pytest
import timm
import torch

from distillation.datasets import load_table
from distillation.scorecard import LabelledImages
from distillation.teachers import Teacher, load_teacher


@pytest.fixture
def images():
    torch.manual_seed(1)
    return torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)


def test_the_embedding_is_the_class_token_after_the_final_norm_on_the_teachers_own_normalisation(teacher_spec, images):
    teacher = load_teacher(teacher_spec)
    model = timm.create_model(teacher_spec, pretrained=True, num_classes=0, global_pool="token").eval()
    mean, std = torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1), torch.tensor([0.5, 0.6, 0.7]).view(3, 1, 1)
    torch.testing.assert_close(teacher(images), model((images / 255 - mean) / std))
    assert (teacher.image_size, teacher.num_features) == (32, 192)


def test_uint8_and_float_images_give_the_same_embedding(teacher_spec, images):
    teacher = load_teacher(teacher_spec)
    torch.testing.assert_close(teacher(images), teacher(images.float() / 255))


def test_the_papers_teacher_architecture_gives_its_class_token():
    model: Any = timm.create_model("vit_small_patch14_dinov2", img_size=28, depth=1, num_classes=0).eval()
    teacher = Teacher(model, "dinov2 architecture, random weights", image_size=28)
    image = torch.rand(1, 3, 28, 28)
    mean, std = (torch.tensor(model.pretrained_cfg[key]).view(3, 1, 1) for key in ("mean", "std"))
    torch.testing.assert_close(teacher(image), model((image - mean) / std))
    assert (teacher.image_size, teacher.num_features) == (28, 384)


def test_another_image_size_resamples_the_position_embedding(teacher_spec):
    teacher = load_teacher(teacher_spec, image_size=64)
    assert teacher.image_size == 64
    assert teacher(torch.rand(1, 3, 64, 64)).shape == (1, 192)


def test_a_teacher_stays_frozen_in_eval_mode(teacher_spec, images):
    teacher = load_teacher(teacher_spec).train()
    assert not any(module.training for module in teacher.modules())
    assert not any(p.requires_grad for p in teacher.parameters())
    assert not teacher(images).requires_grad


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("timm/vit_gigantic", "timm knows no such model"),
        ("local-dir:/nowhere", "no config.json"),
        ("resnet50", "expected 'timm/<model>' or 'local-dir:<folder>'"),
    ],
)
def test_an_unusable_spec_is_refused_with_what_is_accepted(spec, message):
    with pytest.raises(ValueError, match=message):
        load_teacher(spec)


def test_a_model_without_class_token_is_refused():
    with pytest.raises(ValueError, match=r"teacher resnet: ResNet has no \[CLS\] token"):
        Teacher(timm.create_model("resnet18", num_classes=0), "resnet")


def test_a_class_token_that_no_final_norm_sees_is_refused():
    model = timm.create_model("beit_base_patch16_224", depth=1, num_classes=0)
    with pytest.raises(ValueError, match=r"teacher beit: its \[CLS\] token passes no final norm, Beit pools"):
        Teacher(model, "beit")


def test_the_fingerprint_is_that_of_the_weights_wherever_they_lie(teacher_spec, tmp_path):
    folder = shutil.copytree(teacher_spec.removeprefix("local-dir:"), tmp_path / "elsewhere")
    teacher = load_teacher(f"local-dir:{folder}")
    assert teacher.fingerprint == load_teacher(teacher_spec).fingerprint
    teacher.model.norm.bias.add_(1)
    assert teacher.fingerprint != load_teacher(teacher_spec).fingerprint


def test_the_real_teacher_names_the_class_of_real_photographs(shared):
    """Its classifier on our embedding: 82.7 % on ImageNet at 224 px, and these are 10 easy classes at 128 px."""
    spec = f"local-dir:{shared}/teachers/vit_tiny_patch16_224.augreg_in21k_ft_in1k"
    classifier: Any = timm.create_model(spec, pretrained=True)
    teacher, head = load_teacher(spec), classifier.get_classifier()
    table = LabelledImages(load_table([f"{shared}/data/eval/imagenette_val.parquet"]), teacher.image_size)
    rows = np.linspace(0, len(table) - 1, 64, dtype=int)
    images, labels = zip(*(table[int(row)] for row in rows), strict=True)
    classes = torch.tensor([0, 217, 482, 491, 497, 566, 569, 571, 574, 701])  # Imagenette's among ImageNet's
    predicted = head(teacher(torch.stack(images)))[:, classes].argmax(dim=1)
    assert (predicted == torch.tensor(labels)).float().mean() > 0.95
