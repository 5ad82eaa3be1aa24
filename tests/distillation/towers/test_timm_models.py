import shutil
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from distillation.teachers import load_teacher
from tests.distillation.saved_teachers import normalized, save_timm


@pytest.fixture
def images():
    """(2, 3, 32, 32) uint8 noise."""
    return torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def test_the_embedding_is_the_class_token_after_the_final_norm_on_the_teachers_own_normalisation(teacher_spec, images):
    teacher = load_teacher(teacher_spec)
    model = timm.create_model(teacher_spec, pretrained=True, num_classes=0, global_pool="token").eval()
    pixels = normalized(images, (0.5, 0.4, 0.3), (0.5, 0.6, 0.7))
    torch.testing.assert_close(teacher(images), model(pixels))
    assert (teacher.image_size, teacher.num_features, teacher.num_patch_features) == (32, 192, 192)


def test_the_papers_teacher_architecture_gives_its_class_token_and_patches_through_timm(tmp_path):
    folder, model = save_timm(tmp_path, "vit_small_patch14_dinov2", img_size=28, depth=1)
    images = torch.randint(0, 256, (2, 3, 28, 28), dtype=torch.uint8)
    teacher = load_teacher(folder)
    tokens = model.forward_features(normalized(images, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    embedding, patches = teacher.embed(images)
    torch.testing.assert_close(embedding, model.forward_head(tokens))
    torch.testing.assert_close(embedding, tokens[:, 0])
    torch.testing.assert_close(patches[1, :, 0, 1], tokens[1, 1 + 1])  # after the class token, row by row
    torch.testing.assert_close(patches[1, :, 1, 0], tokens[1, 1 + 2])
    torch.testing.assert_close(load_teacher(folder, embedding="avg")(images), tokens[:, 1:].mean(dim=1))


@pytest.mark.parametrize(
    ("architecture", "prefix"), [("vit_small_patch14_reg4_dinov2", 5), ("vit_small_patch16_dinov3", 5)]
)
def test_register_tokens_are_no_patches(tmp_path, architecture, prefix):
    side = 28 if "patch14" in architecture else 32
    folder, model = save_timm(tmp_path, architecture, img_size=side, depth=1)
    teacher = load_teacher(folder)
    images = torch.rand(1, 3, side, side)
    tokens = model.forward_features((images - teacher.mean) / teacher.std)
    embedding, patches = teacher.embed(images)
    torch.testing.assert_close(embedding, tokens[:, 0])
    torch.testing.assert_close(patches.flatten(2).transpose(1, 2), tokens[:, prefix:])
    assert patches.shape[-2:] == (2, 2)


@pytest.mark.parametrize(
    ("architecture", "arguments"),
    [
        ("vit_base_patch16_siglip_224", {"img_size": 32, "depth": 1, "embed_dim": 64, "num_heads": 2}),
        ("convnext_atto", {"depths": (1, 1, 1, 1), "dims": (8, 16, 24, 32)}),
        ("beit_base_patch16_224", {"img_size": 32, "depth": 1, "embed_dim": 64, "num_heads": 2}),
    ],
)
def test_a_model_without_a_class_token_that_a_norm_sees_has_the_average_alone(
    tmp_path, images, architecture, arguments
):
    folder, model = save_timm(tmp_path, architecture, **arguments)
    with pytest.raises(ValueError, match=rf"{architecture}: \w+ has no \[CLS\] token .*; its embeddings are: avg"):
        load_teacher(folder)
    teacher = load_teacher(folder, embedding="avg")
    features = model.forward_features((images / 255 - teacher.mean) / teacher.std)
    pooled = features.mean(dim=1) if "siglip" in architecture else model.forward_head(features, pre_logits=True)
    torch.testing.assert_close(teacher(images), pooled)
    _, patches = teacher.embed(images)
    assert (pooled.shape[1], patches.shape[1]) == (teacher.num_features, teacher.num_patch_features)


@pytest.mark.parametrize(
    ("architecture", "arguments"),
    [
        ("vit_tiny_patch16_224", {"img_size": 32, "depth": 1, "num_classes": 7}),
        ("beit_base_patch16_224", {"img_size": 32, "depth": 1, "embed_dim": 64, "num_heads": 2, "num_classes": 7}),
        ("convnext_atto", {"depths": (1, 1, 1, 1), "dims": (8, 16, 24, 32), "num_classes": 7}),
    ],
)
def test_the_classifier_gives_the_logits_of_the_whole_model(tmp_path, images, architecture, arguments):
    folder, model = save_timm(tmp_path, architecture, **arguments)
    teacher = load_teacher(folder, embedding="avg")
    assert teacher.has_classifier
    torch.testing.assert_close(teacher.classify(images), model((images / 255 - teacher.mean) / teacher.std))


def test_clips_projection_is_no_classifier(tmp_path, images):
    """timm writes it as a head whose bias is 0."""
    folder, model = save_timm(
        tmp_path, "vit_base_patch32_clip_224", img_size=32, depth=1, embed_dim=64, num_heads=2, num_classes=8
    )
    model.head.bias.data.zero_()
    save_file(model.state_dict(), Path(folder) / "model.safetensors")
    teacher = load_teacher(folder)
    assert not teacher.has_classifier
    with pytest.raises(ValueError, match="teacher vit_base_patch32_clip_224: its weights have no classifier"):
        teacher.classify(images)


def test_another_image_size_resamples_the_position_embedding(teacher_spec):
    teacher = load_teacher(teacher_spec, image_size=64)
    assert teacher.image_size == 64
    assert teacher(torch.rand(1, 3, 64, 64)).shape == (1, 192)
    with pytest.raises(ValueError, match="image_size: expected a multiple of the patch size, 16 px, got 40"):
        load_teacher(teacher_spec, image_size=40)


def test_a_timm_folder_that_lacks_a_tensor_is_refused(teacher_spec, tmp_path):
    folder = shutil.copytree(teacher_spec.removeprefix("local-dir:"), tmp_path / "short")
    tensors = load_file(folder / "model.safetensors")
    tensors.pop("norm.bias")
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"its weights do not make a vit_tiny_patch16_224 .*Missing key.*norm.bias"):
        load_teacher(str(folder))
