"""The moving average of a policy's weights, which is what gets evaluated."""

import copy
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from policy_examples.policy import DiffusionPolicy


class Average:
    """A copy of a policy, in eval mode, whose parameters follow the trained ones.

    Update s = 0, 1, ... keeps min(1 - (1 + s) ** -power, max_decay) of the copy: DP3's rule, but for two details. There
    the first two updates keep nothing, here the first alone; and there the scale and offset of batch norms are copied,
    here averaged like all parameters. Buffers stay as they were when the copy was made, as there, which
    `require_fixed_statistics` makes sure is right.

    Attributes:
        policy: the averaged policy.
    """

    def __init__(self, policy: DiffusionPolicy, power: float, max_decay: float) -> None:
        self.policy = copy.deepcopy(policy).eval().requires_grad_(False)
        self.power, self.max_decay, self.updates = power, max_decay, 0
        learning = {name for name, parameter in policy.named_parameters() if parameter.requires_grad}
        self._averages: list[torch.Tensor] = [
            average for name, average in self.policy.named_parameters() if name in learning
        ]

    @torch.no_grad()
    def update(self, policy: DiffusionPolicy) -> None:
        """Move towards a policy of the same form."""
        decay = min(1 - (1 + self.updates) ** -self.power, self.max_decay)
        learning: list[torch.Tensor] = [parameter for parameter in policy.parameters() if parameter.requires_grad]
        torch._foreach_lerp_(self._averages, learning, 1 - decay)
        self.updates += 1

    def state_dict(self) -> dict[str, Any]:
        return {"updates": self.updates, "policy": self.policy.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.updates = state["updates"]
        self.policy.load_state_dict(state["policy"], strict=True)


def require_fixed_statistics(policy: nn.Module, show_batch_norm_trap: bool) -> None:
    """Refuse batch norm that follows its batches, because the averaged copy would run with other statistics.

    Args:
        show_batch_norm_trap: ask for exactly that.

    Raises:
        ValueError: the policy has such a layer, or was to show the trap with none.
    """
    policy.train()
    following = [name for name, module in policy.named_modules() if isinstance(module, _BatchNorm) and module.training]
    if following and not show_batch_norm_trap:
        raise ValueError(
            f"norm: {following[0]} and {len(following) - 1} more layers follow the statistics of their batches, which "
            "the averaged copy that is evaluated never sees; take norm 'frozen' or 'group', "
            "or --show-batch-norm-trap to see what happens."
        )
    if show_batch_norm_trap and not following:
        raise ValueError("show_batch_norm_trap: the trap needs norm 'batch'; this policy has no layer to show it with.")
