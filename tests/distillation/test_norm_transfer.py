import pytest
import torch
from torch import nn

from distillation.datasets import open_images
from distillation.norm_transfer import calibrate, take_over
from distillation.scoring.encoders import CentreView
from xdistill_encoder import XDistillResNet18


@pytest.fixture(scope="module")
def images():
    """(64, 3, 64, 64) uint8: smooth random pictures."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(64, 3, 6, 6, generator=generator)
    return (nn.functional.interpolate(coarse, (64, 64), mode="bicubic").clamp(0, 1) * 255).to(torch.uint8)


@pytest.fixture(scope="module")
def trained():
    """The bundled encoder, with batch norm."""
    return XDistillResNet18.from_pretrained(norm="batch")


@pytest.fixture
def swapped(trained):
    """An encoder with group norm and the trained kernels, scales, offsets."""
    encoder = XDistillResNet18("group").eval()
    take_over(encoder.trunk, trained.trunk.state_dict())
    return encoder


def test_kernels_scales_and_offsets_are_taken_over(swapped, trained):
    for name, parameter in swapped.trunk.named_parameters():
        assert torch.equal(parameter, trained.trunk.get_parameter(name))


def test_another_network_is_refused(trained):
    with pytest.raises(RuntimeError, match="Missing key"):
        take_over(nn.Conv2d(3, 4, 1), trained.trunk.state_dict())


def test_each_channel_then_has_the_mean_and_the_spread_of_its_offset_and_scale(swapped, trained, images):
    calibrate(swapped, images)
    seen: dict[str, torch.Tensor] = {}

    def keep(name: str):
        return lambda layer, inputs, outputs: seen.update({name: outputs.clone()})  # the relu after it works in place

    for name, module in swapped.trunk.named_modules():
        if isinstance(module, nn.GroupNorm):
            module.register_forward_hook(keep(name))
    with torch.no_grad():
        swapped(images)
    assert len(seen) == 20
    for name, outputs in seen.items():
        batch_norm = trained.trunk.get_submodule(name)
        torch.testing.assert_close(outputs.mean(dim=(0, 2, 3)), batch_norm.bias, rtol=0, atol=1e-3)
        torch.testing.assert_close(outputs.std(dim=(0, 2, 3)), batch_norm.weight.abs(), rtol=1e-2, atol=1e-3)


def test_features_of_unseen_photographs_stay_close_to_the_trained_ones_as_a_plain_swap_does_not(
    swapped, trained, shared
):
    photographs = open_images([str(shared / "data" / "eval" / "mini_imagenet_val.parquet")])
    view = CentreView(96)
    calibrating, unseen = (
        torch.stack([view(photographs.read(index)) for index in indices]) for indices in (range(64), range(64, 96))
    )

    def agreement() -> float:
        """Mean cosine of the features, each centred over the images."""
        with torch.no_grad():
            ours, theirs = (encoder(unseen) for encoder in (swapped, trained))
        ours, theirs = (features - features.mean(dim=0) for features in (ours, theirs))
        return nn.functional.cosine_similarity(ours, theirs).mean().item()

    before = agreement()
    calibrate(swapped, calibrating)
    assert before < 0.4
    assert agreement() > before + 0.3


def test_a_channel_that_is_always_the_same_stays_finite(images):
    grey = nn.Conv2d(3, 16, 1)
    nn.init.zeros_(grey.weight)
    network = nn.Sequential(grey, nn.GroupNorm(1, 16))
    calibrate(network, images.float())
    assert all(parameter.isfinite().all() for parameter in network.parameters())
