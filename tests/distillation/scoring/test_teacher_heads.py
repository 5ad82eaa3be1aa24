import pytest
import torch

from distillation.scoring.teacher_heads import embedding_classifier
from distillation.teachers import load_teacher
from tests.distillation.saved_teachers import randomize, save_timm, transformers_models

VIT = {"img_size": 32, "depth": 1, "embed_dim": 64, "num_heads": 2, "num_classes": 7}
CONVNEXT = {"depths": (1, 1, 1, 1), "dims": (8, 16, 24, 32), "num_classes": 7}


@pytest.mark.parametrize(
    ("architecture", "arguments", "embedding"),
    [
        ("vit_tiny_patch16_224", VIT, "cls"),
        ("vit_tiny_patch16_224", VIT | {"global_pool": "avg"}, "avg"),
        ("vit_base_patch16_siglip_224", VIT | {"global_pool": "avg"}, "avg"),
        ("convnext_atto", CONVNEXT, "avg"),
        ("resnet10t", {"num_classes": 7}, "avg"),
        (
            "swin_tiny_patch4_window7_224",
            {"img_size": 32, "window_size": 1, "depths": (1, 1), "num_heads": (1, 1), "num_classes": 7},
            "avg",
        ),
    ],
)
def test_the_classifier_of_the_embedding_says_what_timms_model_says(tmp_path, architecture, arguments, embedding):
    teacher = load_teacher(save_timm(tmp_path, architecture, **arguments)[0], embedding=embedding)
    images = torch.rand(2, 3, 32, 32)
    classifier = embedding_classifier(teacher)
    assert classifier is not None
    torch.testing.assert_close(classifier(teacher(images)), teacher.classify(images))


@pytest.mark.parametrize(
    ("kind", "embedding"), [("vit", "cls"), ("convnext", "avg"), ("siglip", "avg"), ("dinov2", None)]
)
def test_the_classifier_of_the_embedding_says_what_transformers_model_says(tmp_path, kind, embedding):
    transformers = pytest.importorskip("transformers")
    body, processor = transformers_models()[kind]()
    body.config.num_labels = 5
    name = type(body).__name__.removesuffix("Model")
    randomize(getattr(transformers, f"{name}ForImageClassification")(body.config)).save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    for asked in ("cls", "avg") if kind in ("vit", "dinov2") else ("avg",):
        teacher = load_teacher(str(tmp_path), embedding=asked)
        classifier = embedding_classifier(teacher)
        assert teacher.has_classifier
        assert (classifier is not None) == (asked == embedding)
        if classifier is not None:
            images = torch.rand(2, 3, teacher.image_size, teacher.image_size)
            torch.testing.assert_close(classifier(teacher(images)), teacher.classify(images))


def test_a_classifier_of_another_embedding_is_none(tmp_path, teacher_spec):
    folder, _ = save_timm(tmp_path, "vit_tiny_patch16_224", **VIT)
    assert embedding_classifier(load_teacher(folder, embedding="avg")) is None
    assert embedding_classifier(load_teacher(teacher_spec)) is None  # it has none at all
