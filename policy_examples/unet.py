"""The conditional 1-D UNet of Diffusion Policy (arXiv 2303.04137), conditioned by scale and bias (FiLM)."""

import math

import torch
from torch import Tensor, nn


class ConditionalUNet1d(nn.Module):
    """Denoises an action sequence, given the diffusion step and a condition vector.

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
        self.step_embedding = StepEmbedding(step_embedding_size)
        condition_size += step_embedding_size

        def block(inputs: int, outputs: int) -> FilmResidualBlock:
            return FilmResidualBlock(inputs, outputs, condition_size, kernel_size, groups)

        widths = list(zip((action_size, *channels), channels, strict=False))
        self.down = nn.ModuleList(nn.ModuleList([block(i, o), block(o, o)]) for i, o in widths)
        self.downsample = nn.ModuleList(nn.Conv1d(o, o, 3, stride=2, padding=1) for _, o in widths[:-1])
        self.middle = nn.ModuleList([block(channels[-1], channels[-1]), block(channels[-1], channels[-1])])
        rising = widths[:0:-1]  # from the deepest level to the second
        self.up = nn.ModuleList(nn.ModuleList([block(2 * o, i), block(i, i)]) for i, o in rising)
        self.upsample = nn.ModuleList(nn.ConvTranspose1d(i, i, 4, stride=2, padding=1) for i, _ in rising)
        self.out = nn.Sequential(
            *conv_norm_mish(channels[0], channels[0], kernel_size, groups), nn.Conv1d(channels[0], action_size, 1)
        )

    def forward(self, actions: Tensor, step: Tensor, condition: Tensor) -> Tensor:
        """(B, T, A) noisy actions, (B,) int64 diffusion step, (B, C) condition -> (B, T, A)."""
        film = torch.cat([self.step_embedding(step), condition], dim=-1)
        x = actions.transpose(1, 2)  # (B, A, T)
        skips = []
        for level, (first, second) in enumerate(self.down):  # type: ignore[misc]
            x = second(first(x, film), film)
            skips.append(x)
            if level < len(self.downsample):
                x = self.downsample[level](x)
        for block in self.middle:
            x = block(x, film)
        for (first, second), upsample in zip(self.up, self.upsample, strict=True):  # type: ignore[misc]
            x = upsample(second(first(torch.cat([x, skips.pop()], dim=1), film), film))
        return self.out(x).transpose(1, 2)


class FilmResidualBlock(nn.Module):
    """Two convolutions; after the first, the condition scales and shifts each channel."""

    def __init__(self, inputs: int, outputs: int, condition_size: int, kernel_size: int, groups: int) -> None:
        super().__init__()
        self.first = nn.Sequential(*conv_norm_mish(inputs, outputs, kernel_size, groups))
        self.second = nn.Sequential(*conv_norm_mish(outputs, outputs, kernel_size, groups))
        self.film = nn.Sequential(nn.Mish(), nn.Linear(condition_size, 2 * outputs))
        self.residual = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(B, inputs, T), (B, C) -> (B, outputs, T)."""
        scale, bias = self.film(condition)[..., None].chunk(2, dim=1)  # (B, outputs, 1) each
        return self.second(scale * self.first(x) + bias) + self.residual(x)


class StepEmbedding(nn.Module):
    """Sinusoids of the diffusion step, then a small MLP."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.mlp = nn.Sequential(nn.Linear(size, 4 * size), nn.Mish(), nn.Linear(4 * size, size))

    def forward(self, step: Tensor) -> Tensor:
        """(B,) -> (B, size)."""
        half = self.size // 2
        rate = torch.exp(torch.arange(half, device=step.device) * (-math.log(10_000) / (half - 1)))
        angle = step[:, None] * rate  # (B, half)
        return self.mlp(torch.cat([angle.sin(), angle.cos()], dim=-1))


def conv_norm_mish(inputs: int, outputs: int, kernel_size: int, groups: int) -> list[nn.Module]:
    """Convolution that keeps the length, group norm, Mish."""
    conv = nn.Conv1d(inputs, outputs, kernel_size, padding=kernel_size // 2)
    return [conv, nn.GroupNorm(groups, outputs), nn.Mish()]
