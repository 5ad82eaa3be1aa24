"""The three normalisation layers that the encoder can be built with."""

from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Norm = Literal["batch", "frozen", "group"]
CHANNELS_PER_GROUP = 16  # Diffusion Policy's and robomimic's choice for ResNets


class BatchNorm2d(nn.BatchNorm2d):
    """torch's batch norm, which can be held in eval mode against every later `.train()`."""

    held = False

    def hold(self, held: bool) -> None:
        """Hold it in eval mode, or let `.train()` decide again."""
        self.held = held
        self.train(self.training)

    def train(self, mode: bool = True) -> "BatchNorm2d":
        super().train(mode and not self.held)
        return self

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *arguments: Any) -> None:
        require_statistics(state_dict, prefix, arguments[-1])
        super()._load_from_state_dict(state_dict, prefix, *arguments)

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002 - torch's name
        """Nothing: torch's own branches on a size, which torchvision's create_feature_extractor cannot trace."""

    def reset_running_stats(self) -> None:
        """Forget the statistics, unless they are held: `torch.optim.swa_utils.update_bn` measures them anew in train
        mode, which a held layer never enters."""
        if not self.held:
            super().reset_running_stats()


class FrozenBatchNorm2d(nn.Module):
    """Batch norm whose statistics never change; scale and offset stay trainable.

    Holds the keys of `nn.BatchNorm2d`, so the two share checkpoints. It is no subclass of it, so that neither
    `.train()` nor `SyncBatchNorm.convert_sync_batchnorm` nor a host's BatchNorm-to-GroupNorm swap can thaw it.
    """

    def __init__(self, num_features: int, eps: float = 1e-5):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))
        self.register_buffer("num_batches_tracked", torch.tensor(0, dtype=torch.long))
        self.running_mean: Tensor
        self.running_var: Tensor

    def reset_parameters(self) -> None:
        """Fill weights and statistics: for hosts that build on the meta device and then materialise, as FSDP does."""
        for tensor, value in ((self.weight, 1), (self.running_var, 1), (self.bias, 0), (self.running_mean, 0)):
            nn.init.constant_(tensor, value)
        self.num_batches_tracked.zero_()  # type: ignore[operator]

    def forward(self, x: Tensor) -> Tensor:
        # Whoever casts parameters alone, as FSDP does, leaves statistics in float32.
        mean, variance = self.running_mean.to(self.weight.dtype), self.running_var.to(self.weight.dtype)
        return F.batch_norm(x, mean, variance, self.weight, self.bias, eps=self.eps)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *arguments: Any) -> None:
        require_statistics(state_dict, prefix, arguments[-1])
        super()._load_from_state_dict(state_dict, prefix, *arguments)

    def extra_repr(self) -> str:
        return f"{self.weight.numel()}, eps={self.eps}"


class GroupNorm(nn.GroupNorm):
    """torch's group norm, which refuses the weights of a batch norm."""

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *arguments: Any) -> None:
        if f"{prefix}running_mean" in state_dict:
            tell_once(
                "these weights were trained with batch norm, this encoder has group norm, and a swap ruins the "
                "weights: build it with norm='frozen'",
                arguments[-1],
            )
        super()._load_from_state_dict(state_dict, prefix, *arguments)


def require_statistics(state_dict: Any, prefix: str, errors: list[str]) -> None:
    """Note an error, which torch raises even with strict=False, where the weights of a batch norm lack statistics."""
    if f"{prefix}weight" in state_dict and f"{prefix}running_mean" not in state_dict:
        tell_once(
            "these weights have no batch statistics, which this encoder's batch norm needs: of group norm build it "
            "with norm='group'; of parameters alone load {**encoder.state_dict(), **parameters}",
            errors,
        )


def tell_once(message: str, errors: list[str]) -> None:
    """Add a message to torch's list for a whole model, where another of its layers has not."""
    if message not in errors:
        errors.append(message)


def default_norm(trained: Norm) -> Norm:
    """What a policy needs of weights that were trained with these layers: batch statistics that stay as they are."""
    return "group" if trained == "group" else "frozen"


def group_norm(num_channels: int) -> nn.GroupNorm:
    """Group norm with 16 channels per group."""
    return GroupNorm(num_channels // CHANNELS_PER_GROUP, num_channels)


def norm_layer(norm: Norm) -> Callable[[int], nn.Module]:
    """Name -> constructor of the layer for a number of channels; raises ValueError for an unknown name."""
    layers = {"batch": BatchNorm2d, "frozen": FrozenBatchNorm2d, "group": group_norm}
    if not isinstance(norm, str) or norm not in layers:
        raise ValueError(f"norm: expected one of {', '.join(get_args(Norm))}, got {norm!r}")
    return layers[norm]


def share_weights(asked: Norm, trained: Norm) -> bool:
    """Whether weights trained with one norm mean the same under the other."""
    return (asked == "group") == (trained == "group")
