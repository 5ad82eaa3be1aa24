import copy

import pytest
import torch
from torch import nn
from torchvision.models import resnet18 as torchvision_resnet18

from xdistill_encoder.hosts.diffusion_policy import HostResNet18, resnet18
from xdistill_encoder.images import IMAGENET_MEAN, IMAGENET_STD

MEAN, STD = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
RANGES = {  # what a configuration makes of pixels p in [0, 1]
    "minus_one_to_one": lambda p: 2 * p - 1,
    "minus_one_to_one_imagenet": lambda p: (2 * p - 1 - MEAN) / STD,
    "zero_to_one": lambda p: p,
    "imagenet": lambda p: (p - MEAN) / STD,
}


@pytest.mark.parametrize("images", RANGES)
def test_every_range_gives_the_encoders_features_the_borders_of_the_image_included(encoder, pixels, images):
    model = resnet18(images=images).eval()
    with torch.inference_mode():
        torch.testing.assert_close(model(RANGES[images](pixels / 255)), encoder(pixels), rtol=1e-4, atol=1e-4)


def test_children_and_keys_are_torchvisions_in_order(encoder):
    model, theirs = resnet18(), torchvision_resnet18()
    assert [name for name, _ in model.named_children()] == [name for name, _ in theirs.named_children()]
    assert list(model.state_dict()) == [key for key in theirs.state_dict() if not key.startswith("fc.")]


def test_a_swap_of_batch_norm_for_group_norm_finds_nothing_in_copies_either(encoder, pixels):
    model = copy.deepcopy(resnet18()).train()
    assert not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())
    before = {key: tensor.clone() for key, tensor in model.named_buffers()}
    model(2 * (pixels / 255) - 1).sum().backward()
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.named_buffers())
    assert model.conv1.weight.grad is not None


def test_group_norm_and_frozen_stages_are_the_encoders(random_encoder, tmp_path, pixels):
    encoder = random_encoder("group")
    folder = encoder.save_pretrained(tmp_path / "group")
    model = resnet18(folder, norm="group", freeze=["stem", "layer1"]).eval()
    assert [name for name, p in model.named_parameters() if not p.requires_grad] == [
        name for name, _ in model.named_parameters() if name.startswith(("conv1", "bn1", "layer1"))
    ]
    with torch.inference_mode():
        torch.testing.assert_close(model(2 * (pixels / 255) - 1), encoder(pixels), rtol=1e-4, atol=1e-4)


def test_pixels_of_another_range_are_refused_while_a_probe_of_zeros_passes(pixels):
    model = resnet18().eval()
    model(torch.zeros(1, 3, 64, 64))
    with pytest.raises(ValueError, match=r"'minus_one_to_one' means values in \[-1.20, 1.20\], got \[-6"):
        model(RANGES["minus_one_to_one_imagenet"](pixels / 255))
    with pytest.raises(ValueError, match=r"got \[0.00, 255.00\]"):
        model(pixels.float())


def test_live_batch_norm_an_unknown_range_and_an_unknown_stage_are_refused():
    with pytest.raises(ValueError, match="norm: expected 'frozen' or 'group', got 'batch'"):
        resnet18(norm="batch")
    with pytest.raises(ValueError, match="images: expected one of minus_one_to_one, .*got 'uint8'"):
        HostResNet18("frozen", "uint8")
    with pytest.raises(ValueError, match="stage: expected one of stem, .*got 'layer5'"):
        resnet18(freeze=["layer5"])
