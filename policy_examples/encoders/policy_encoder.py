"""What every encoder under comparison offers to a policy."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from policy_examples.encoders.point_clouds import PointNet
from xdistill_encoder.finetuning import NO_DECAY_NDIM, check_factors

Reads = Literal["image", "point_cloud"] | None
NO_DECAY_NAMES = ("pos_embed", "cls_token", "reg_token")
"""Parameters of a vision transformer that are neither biases nor norms, and yet no matrices to be decayed."""
AXES = {"image": (5, "images: expected (B, T, 3, H, W)"), "point_cloud": (4, "points: expected (B, T, N, 3)")}


class PolicyEncoder(nn.Module):
    """Frames -> features, with what a policy asks of its encoder whichever network is inside.

    Args:
        network: (B, ...) -> (B, num_features), with the attribute num_features; None is blind.
        reads: the kind of observation that the network takes; None: none, there are no features.
        saved: JSON-able description from which `empty_encoder` rebuilds the architecture; "origin" says where its first
            weights came from, None of random ones; "weights_sha256" which ones they were, where their checkpoint does.
        image_size_px: side in px to which the network resizes its images; None: as they come.

    Attributes:
        name: which of the encoders under comparison it is.
        norm: of a ResNet; None of a network that comes with its own layers.
        num_features: D.
    """

    def __init__(
        self, network: nn.Module | None, reads: Reads, saved: dict[str, Any], image_size_px: int | None = None
    ) -> None:
        super().__init__()
        self.network: Any = network
        self.reads: Reads = reads
        self.saved = saved
        self.image_size_px = image_size_px
        self.name: str = saved["name"]
        self.norm: str | None = saved["norm"]
        self.num_features: int = 0 if network is None else self.network.num_features
        self.frozen = False

    def forward(self, frames: Tensor) -> Tensor:
        """To frames of a batch -> features (B, T, D).

        Args:
            frames: images (B, T, 3, H, W), uint8 in [0, 255] or float in [0, 1], RGB; or points (B, T, N, 3) float32
                in metres; blind takes anything (B, T, ...), for its axes alone.

        Raises:
            ValueError: another layout, dtype or range.
        """
        if self.reads is None:
            return torch.zeros(*frames.shape[:2], 0, device=frames.device)
        axes, expected = AXES[self.reads]
        if frames.ndim != axes:
            raise ValueError(f"{expected}, got shape {tuple(frames.shape)}; a policy's frames have two leading axes")
        return self.network(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])

    @property
    def parameter_count(self) -> int:
        """Numbers that can learn, frozen ones included."""
        return sum(parameter.numel() for parameter in self.parameters())

    def param_groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        """Groups for a torch optimizer, without those that are empty; biases, norms, tokens and position embeddings
        take no decay.

        Raises:
            ValueError: a rate not above 0, a decay below 0.
        """
        check_factors(lr, 1.0, 1.0, weight_decay)
        decayed: list[nn.Parameter] = []
        plain: list[nn.Parameter] = []
        for name, parameter in self.named_parameters():
            if parameter.requires_grad:
                matrix = parameter.ndim > NO_DECAY_NDIM and name.rpartition(".")[2] not in NO_DECAY_NAMES
                (decayed if matrix else plain).append(parameter)
        groups = (("encoder", decayed, weight_decay), ("encoder, without decay", plain, 0.0))
        return [
            {"name": name, "params": members, "lr": lr, "weight_decay": decay}
            for name, members, decay in groups
            if members
        ]

    def freeze(self) -> "PolicyEncoder":
        """No gradient, eval mode that survives `train()`; copies inherit it. Call it before the optimizer is made."""
        self.frozen = True
        self.requires_grad_(False)
        return self.eval()

    def train(self, mode: bool = True) -> "PolicyEncoder":
        """Train or eval mode; a frozen encoder stays in eval mode."""
        return super().train(mode and not self.frozen)

    def fit_points(self, points: Tensor) -> None:
        """Take the limits of all demonstrations' points (N, P, 3), which the network maps to [-1, 1].

        Raises:
            ValueError: an encoder that reads no points, or another layout.
        """
        if not isinstance(self.network, PointNet):
            raise ValueError(
                f"points: {self.name} reads no points; fit those of an encoder whose reads is 'point_cloud'."
            )
        self.network.fit(points)
