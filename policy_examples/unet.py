"""The conditional 1-D UNet of Diffusion Policy (arXiv 2303.04137), conditioned by scale and bias (FiLM)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ConditionalUNet1d(nn.Module):
    """Denoises an action sequence, given the diffusion timestep and a condition vector.

    Each level but the last halves the sequence: the horizon must be a multiple of 2 ** (len(channels) - 1).
    """

    def __init__(
        self,
        action_size: int,
        condition_size: int,
        channels: tuple[int, ...] = (512, 1024, 2048),
        kernel_size: int = 5,
        groups: int = 8,
        step_embedding_size: int = 128,
    ) -> None:
        super().__init__()
        self.step_embedding = TimestepEmbedding(step_embedding_size)
        condition_size += step_embedding_size

        def block(inputs: int, outputs: int) -> FilmResidualBlock:
            return FilmResidualBlock(inputs, outputs, condition_size, kernel_size, groups)

        widths = list(zip((action_size, *channels), channels, strict=False))
        self.down = nn.ModuleList(nn.ModuleList([block(i, o), block(o, o)]) for i, o in widths)
        self.downsample = nn.ModuleList(StepConvolution(o, o, 3, stride=2) for _, o in widths[:-1])
        self.middle = nn.ModuleList([block(channels[-1], channels[-1]), block(channels[-1], channels[-1])])
        rising = widths[:0:-1]  # from the deepest level to the second
        self.up = nn.ModuleList(nn.ModuleList([block(2 * o, i), block(i, i)]) for i, o in rising)
        self.upsample = nn.ModuleList(DoublingConvolution(i) for i, _ in rising)
        self.out = nn.Sequential(
            *convolution_norm_mish(channels[0], channels[0], kernel_size, groups), nn.Linear(channels[0], action_size)
        )

    def forward(self, actions: Tensor, timesteps: Tensor, condition: Tensor) -> Tensor:
        """(B, T, A) noisy actions, (B,) int64 timesteps, (B, C) condition -> (B, T, A)."""
        film = F.mish(torch.cat([self.step_embedding(timesteps), condition], dim=-1))
        x, skips = actions, []
        for level, (first, second) in enumerate(self.down):  # type: ignore[misc]
            x = second(first(x, film), film)
            skips.append(x)
            if level < len(self.downsample):
                x = self.downsample[level](x)
        for block in self.middle:
            x = block(x, film)
        for (first, second), upsample in zip(self.up, self.upsample, strict=True):  # type: ignore[misc]
            x = upsample(second(first(torch.cat([x, skips.pop()], dim=-1), film), film))
        return self.out(x)


class FilmResidualBlock(nn.Module):
    """Two convolutions; after the first, the condition scales and shifts each channel."""

    def __init__(self, inputs: int, outputs: int, condition_size: int, kernel_size: int, groups: int) -> None:
        super().__init__()
        self.first = nn.Sequential(*convolution_norm_mish(inputs, outputs, kernel_size, groups))
        self.second = nn.Sequential(*convolution_norm_mish(outputs, outputs, kernel_size, groups))
        self.film = nn.Linear(condition_size, 2 * outputs)
        self.residual = nn.Linear(inputs, outputs) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, film: Tensor) -> Tensor:
        """(B, T, inputs), (B, C) after its Mish, which all blocks share -> (B, T, outputs)."""
        scale, bias = self.film(film)[:, None].chunk(2, dim=-1)  # (B, 1, outputs) each
        return self.second(torch.addcmul(bias, scale, self.first(x))) + self.residual(x)


class StepConvolution(nn.Module):
    """A 1-D convolution over action steps as one matrix product with the `kernel_size` neighbours of each step.

    Sequences of 4 to 16 steps are too short for the convolutions of a CPU library: their gradients take several times
    as long as this product's. Weights start as those of `nn.Conv1d`.
    """

    def __init__(self, inputs: int, outputs: int, kernel_size: int, stride: int = 1) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, stride
        self.linear = nn.Linear(kernel_size * inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, inputs) -> (B, T / stride, outputs), zeros beyond both ends."""
        reach = self.kernel_size // 2
        padded = F.pad(x, (0, 0, reach, reach))
        neighbours = padded.unfold(1, self.kernel_size, self.stride)  # (B, T / stride, inputs, kernel_size)
        return self.linear(neighbours.transpose(2, 3).flatten(2))


class DoublingConvolution(nn.Module):
    """The transposed 1-D convolution of kernel 4, stride 2, padding 1, as one matrix product.

    Step m adds to the steps 2m - 1, 2m, 2m + 1, 2m + 2 of the result.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        bound = (4 * channels) ** -0.5  # as nn.ConvTranspose1d starts
        self.weight = nn.Parameter(torch.empty(4 * channels, channels).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(channels).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, 2 * T, C)."""
        taps = F.pad(F.linear(x, self.weight), (0, 0, 1, 1)).unflatten(-1, (4, -1))  # (B, T + 2, 4, C)
        even = taps[:, 1:-1, 1] + taps[:, :-2, 3]
        odd = taps[:, 1:-1, 2] + taps[:, 2:, 0]
        return torch.stack([even, odd], dim=2).flatten(1, 2) + self.bias


class TimestepEmbedding(nn.Module):
    """Sinusoids of the diffusion timestep, then a small MLP."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.mlp = nn.Sequential(nn.Linear(size, 4 * size), nn.Mish(), nn.Linear(4 * size, size))

    def forward(self, timesteps: Tensor) -> Tensor:
        """(B,) -> (B, size)."""
        half = self.size // 2
        rate = torch.exp(torch.arange(half, device=timesteps.device) * (-math.log(10_000) / (half - 1)))
        angle = timesteps[:, None] * rate  # (B, half)
        return self.mlp(torch.cat([angle.sin(), angle.cos()], dim=-1).to(next(self.mlp.parameters()).dtype))


class StepGroupNorm(nn.GroupNorm):
    """Group norm of (B, T, C), over the steps and the channels of a group."""

    def forward(self, x: Tensor) -> Tensor:
        image = x.transpose(1, 2)[..., None]  # (B, C, T, 1), channels last in memory: torch has a kernel for it
        return super().forward(image).squeeze(-1).transpose(1, 2)


def convolution_norm_mish(inputs: int, outputs: int, kernel_size: int, groups: int) -> list[nn.Module]:
    """Convolution that keeps the length, group norm, Mish."""
    return [StepConvolution(inputs, outputs, kernel_size), StepGroupNorm(groups, outputs), nn.Mish()]
