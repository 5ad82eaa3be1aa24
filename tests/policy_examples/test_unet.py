import pytest
import torch

from policy_examples.unet import ConditionalUNet1d, FilmResidualBlock


@pytest.mark.parametrize(("channels", "horizon"), [((16,), 3), ((16, 32), 4), ((16, 32, 64), 4), ((16, 32, 64), 16)])
def test_the_output_has_the_shape_of_the_actions(channels, horizon):
    unet = ConditionalUNet1d(action_size=4, condition_size=10, channels=channels, step_embedding_size=16)
    actions = torch.randn(2, horizon, 4)
    assert unet(actions, torch.tensor([0, 99]), torch.randn(2, 10)).shape == actions.shape


def test_the_published_sizes_have_as_many_parameters_as_diffusion_policy():
    """Counted by hand for the levels 512/1024/2048, kernel 5, step embedding 128, and a condition of 20 values."""
    film = 128 + 20

    def block(i, o):
        convolutions = 5 * i * o + o + 5 * o * o + o
        return convolutions + 4 * o + (film * 2 * o + 2 * o) + (i * o + o if i != o else 0)

    step_mlp = 128 * 512 + 512 + 512 * 128 + 128
    down = block(4, 512) + block(512, 512) + block(512, 1024)
    down += block(1024, 1024) + block(1024, 2048) + block(2048, 2048)
    middle = 2 * block(2048, 2048)
    up = block(4096, 1024) + block(1024, 1024) + block(2048, 512) + block(512, 512)
    halves = 3 * 512**2 + 512 + 3 * 1024**2 + 1024
    doubles = 4 * 1024**2 + 1024 + 4 * 512**2 + 512
    out = 5 * 512**2 + 3 * 512 + 512 * 4 + 4
    with torch.device("meta"):
        unet = ConditionalUNet1d(action_size=4, condition_size=20)
    assert sum(p.numel() for p in unet.parameters()) == step_mlp + down + middle + up + halves + doubles + out


def test_the_condition_scales_and_shifts_each_channel():
    block = FilmResidualBlock(8, 8, condition_size=3, kernel_size=5, groups=8).eval()
    x, condition = torch.randn(1, 8, 4), torch.randn(1, 3)
    scale, bias = block.film(condition).view(2, 8, 1)
    expected = block.second(scale * block.first(x) + bias) + x
    torch.testing.assert_close(block(x, condition), expected)
