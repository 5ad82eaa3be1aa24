import pytest
import torch
from torch.nn import functional as F

from policy_examples.unet import (
    ConditionalUNet1d,
    DoublingConvolution,
    FilmResidualBlock,
    StepConvolution,
    StepGroupNorm,
)


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


@pytest.mark.parametrize(("kernel_size", "stride", "length"), [(5, 1, 4), (5, 1, 16), (3, 2, 8), (3, 1, 7)])
def test_the_matrix_product_is_torchs_convolution_in_value_and_gradient(kernel_size, stride, length):
    convolution = StepConvolution(6, 8, kernel_size, stride).double()
    x = torch.randn(3, length, 6, dtype=torch.double, requires_grad=True)
    weight = convolution.linear.weight.view(8, kernel_size, 6).transpose(1, 2)  # (outputs, inputs, kernel_size)
    expected = F.conv1d(x.transpose(1, 2), weight, convolution.linear.bias, stride, kernel_size // 2).transpose(1, 2)
    torch.testing.assert_close(convolution(x), expected)
    ours, theirs = (torch.autograd.grad(y.square().sum(), x)[0] for y in (convolution(x), expected))
    torch.testing.assert_close(ours, theirs)


def test_doubling_is_torchs_transposed_convolution_in_value_and_gradient():
    doubling = DoublingConvolution(6).double()
    x = torch.randn(3, 4, 6, dtype=torch.double, requires_grad=True)
    weight = doubling.weight.view(4, 6, 6).permute(2, 1, 0)  # (inputs, outputs, kernel_size)
    expected = F.conv_transpose1d(x.transpose(1, 2), weight, doubling.bias, stride=2, padding=1).transpose(1, 2)
    torch.testing.assert_close(doubling(x), expected)
    ours, theirs = (torch.autograd.grad(y.square().sum(), x)[0] for y in (doubling(x), expected))
    torch.testing.assert_close(ours, theirs)


def test_weights_start_in_the_range_of_torchs_convolutions():
    convolution, theirs = StepConvolution(64, 64, 5), torch.nn.Conv1d(64, 64, 5)
    assert convolution.linear.weight.abs().max().item() == pytest.approx(theirs.weight.abs().max().item(), rel=0.01)
    doubling, transposed = DoublingConvolution(64), torch.nn.ConvTranspose1d(64, 64, 4)
    assert doubling.weight.abs().max().item() == pytest.approx(transposed.weight.abs().max().item(), rel=0.01)


def test_group_norm_goes_over_steps_and_the_channels_of_a_group():
    norm, x = StepGroupNorm(4, 8), torch.randn(2, 5, 8)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    expected = F.group_norm(x.transpose(1, 2), 4, norm.weight, norm.bias).transpose(1, 2)
    torch.testing.assert_close(norm(x), expected)


def test_the_condition_scales_and_shifts_each_channel():
    block = FilmResidualBlock(8, 8, condition_size=3, kernel_size=5, groups=8).eval()
    x, condition = torch.randn(1, 4, 8), torch.randn(1, 3)
    scale, bias = block.film(condition).view(2, 8)
    expected = block.second(scale * block.first(x) + bias) + x
    torch.testing.assert_close(block(x, condition), expected)


def test_the_order_of_the_steps_matters():
    unet = ConditionalUNet1d(action_size=4, condition_size=10, channels=(16, 32), step_embedding_size=16)
    actions, level, condition = torch.randn(1, 4, 4), torch.tensor([3]), torch.randn(1, 10)
    assert not torch.allclose(unet(actions.flip(1), level, condition), unet(actions, level, condition).flip(1))
