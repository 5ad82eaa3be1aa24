import torch

from policy_examples.encoders.backbones import timm_trunk


@torch.no_grad()
def test_nothing_is_dropped_at_random_while_it_learns():
    """timm's Swin would leave out whole branches, one frame in ten."""
    trunk = timm_trunk("timm/swin_tiny_patch4_window7_224").train()
    pixels = torch.randn(1, 3, 224, 224)
    assert torch.equal(trunk(pixels), trunk(pixels))
