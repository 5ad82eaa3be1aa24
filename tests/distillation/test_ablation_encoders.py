import pytest
import timm
import torch
import torchvision
from torch import nn

from distillation.ablation_encoders import AblationEncoder

TIMM_VIT = "timm/test_vit"  # timm's own for tests, 0.4 million parameters
TIMM_CONVNEXT = "timm/test_convnext"
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


@pytest.mark.parametrize("backbone", ["resnet34", "resnet50"])
def test_a_resnet_is_torchvisions_on_normalised_pixels(backbone, images):
    encoder = AblationEncoder(backbone, "batch", 8).eval()
    reference = getattr(torchvision.models, backbone)()
    reference.fc = nn.Identity()
    reference.load_state_dict(encoder.trunk.state_dict())
    expected = reference.eval()((images / 255 - MEAN) / STD)
    torch.testing.assert_close(encoder(images), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("backbone", ["timm/ghostnet_050", "timm/fasternet_t1"])
def test_a_timm_backbone_drops_nothing_at_random(backbone):
    """By timm's defaults the one drops features, the other whole blocks."""
    encoder, images = AblationEncoder(backbone, "batch", 16).train(), torch.rand(2, 3, 64, 64)
    before = torch.get_rng_state()
    encoder(images)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("backbone", [TIMM_VIT, TIMM_CONVNEXT])
def test_a_timm_backbone_is_timms_on_normalised_pixels(backbone):
    encoder = AblationEncoder(backbone, "batch", 8).eval()
    reference = timm.create_model(backbone.removeprefix("timm/"), num_classes=0).eval()
    reference.load_state_dict(encoder.trunk.state_dict())
    images = torch.rand(1, 3, 160, 160)  # the size of their configuration
    torch.testing.assert_close(encoder(images), reference((images - MEAN) / STD))


@pytest.mark.parametrize(("backbone", "height", "width"), [("resnet34", 2, 3), (TIMM_VIT, 4, 6), (TIMM_CONVNEXT, 2, 3)])
def test_features_and_map_have_the_stated_widths_at_any_size(backbone, height, width):
    """32 px a cell of convnets, 16 px of the ViT."""
    encoder = AblationEncoder(backbone, "batch", 8).eval()
    features, feature_map = encoder.features_and_map(torch.rand(2, 3, 64, 96))
    assert features.shape == (2, encoder.num_features)
    assert feature_map.shape == (2, encoder.map_features, height, width)


def test_features_of_a_resnet_are_the_mean_of_its_map_and_the_embedding_is_linear_in_them(images):
    encoder = AblationEncoder("resnet34", "group", 8).eval()
    features, feature_map = encoder.features_and_map(images)
    torch.testing.assert_close(features, feature_map.mean(dim=(2, 3)))
    expected = features @ encoder.teacher_head.weight.T + encoder.teacher_head.bias
    torch.testing.assert_close(encoder.teacher_embedding(images), expected)


def test_the_map_of_a_vit_is_its_patch_tokens_row_by_row():
    encoder = AblationEncoder(TIMM_VIT, "batch", 8).eval()
    images = torch.rand(1, 3, 32, 48)
    tokens = encoder.trunk.forward_features((images - MEAN) / STD)[:, 1:]  # without the class token
    feature_map = encoder.features_and_map(images)[1]
    for token, (row, column) in enumerate([(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]):
        torch.testing.assert_close(feature_map[:, :, row, column], tokens[:, token])


def test_a_vit_refuses_images_that_are_no_multiple_of_its_patch():
    encoder = AblationEncoder(TIMM_VIT, "batch", 8)
    for height, width in ((72, 64), (64, 72)):
        with pytest.raises(ValueError, match=f"takes sides that are multiples of 16 px, got {height} x {width}"):
            encoder(torch.rand(1, 3, height, width))


@pytest.mark.parametrize(
    ("backbone", "norm", "message"),
    [
        ("resnet101", "batch", "backbone: expected resnet18, resnet34, resnet50 or timm/<model>, got 'resnet101'"),
        ("timm/vit_small", "batch", "timm knows no model 'vit_small'; close: vit_small_"),
        (TIMM_VIT, "group", "norm: timm/test_vit comes with its own layers; leave norm at 'batch', got 'group'"),
        ("timm/mixer_s32_224", "batch", "takes images of one size alone; take a ViT or a convnet"),
    ],
)
def test_a_backbone_that_cannot_be_built_is_refused_with_what_can(backbone, norm, message):
    with pytest.raises(ValueError, match=message):
        AblationEncoder(backbone, norm, 8)
