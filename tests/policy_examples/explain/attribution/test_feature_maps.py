import pytest
import torch

from policy_examples.encoders import load_encoder
from policy_examples.explain.attribution.feature_maps import channels_first, last_map, patches_as_map


def test_patches_lie_as_their_numbers_count_row_by_row():
    """A token before them, then 2 x 2 patches that hold their own number."""
    tokens = torch.arange(-1, 4).float()[None, :, None]
    assert patches_as_map(tokens, prefix=1).tolist() == [[[[0, 1], [2, 3]]]]


def test_channels_first_is_what_channels_last_was():
    values = torch.rand(1, 2, 3, 5)
    assert torch.equal(channels_first(values)[0, 4], values[0, ..., 4])


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("resnet18-scratch", (2, 512, 2, 2)),
        ("dinov2-s", (2, 384, 4, 4)),
        ("theia-s", (2, 384, 4, 4)),
        ("resnet34", (2, 512, 2, 2)),
        ("convnext", (2, 320, 2, 2)),
        ("vit", (2, 192, 4, 4)),
    ],
)
def test_the_last_map_has_a_place_for_every_patch_or_stride(build_policy, kind, shape):
    """Of 64 px: 2 strides of 32, 4 patches of 16, or of 14 in the 56 px that dinov2-s resizes to."""
    encoder, outputs = build_policy(kind).encoder_of(0), []
    found = last_map(encoder)
    found.layer.register_forward_hook(lambda _, __, output: outputs.append(found.as_map(output)))
    with torch.no_grad():
        encoder(torch.rand(1, 2, 3, 64, 64))
    assert [tuple(output.shape) for output in outputs] == [shape]


def test_an_encoder_without_pixels_has_none():
    with pytest.raises(ValueError, match="methods: pointnet-dp3 has no map over an image"):
        last_map(load_encoder("pointnet-dp3"))
