"""Batch norm whose statistics are those of the whole batch, where several processes hold parts of it."""

import torch
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce


class SyncedBatchNorm2d(nn.BatchNorm2d):
    """`nn.SyncBatchNorm` for CPUs, which that refuses; all parts of a batch have the same size.

    Shares keys with `nn.BatchNorm2d`. In eval mode it is one.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002, torch's name
        """(B, C, H, W) -> the same, normalised over the B, H, W of all processes."""
        if not self.training:
            return super().forward(input)
        x = input.float()
        processes = torch.distributed.get_world_size()
        mean = all_reduce(x.mean((0, 2, 3))) / processes  # (C,)
        centred = x - mean.view(1, -1, 1, 1)
        variance = all_reduce(centred.square().mean((0, 2, 3))) / processes
        with torch.no_grad():
            count = x.numel() // x.shape[1] * processes
            momentum = 0.1 if self.momentum is None else self.momentum
            assert self.running_mean is not None
            assert self.running_var is not None
            assert self.num_batches_tracked is not None
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), momentum)
            self.num_batches_tracked += 1
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)).to(input.dtype)


def synced(model: nn.Module, device: torch.device) -> nn.Module:
    """Replace every batch norm by one that sees all processes: torch's on GPUs, ours on CPUs; keys stay."""
    if device.type != "cpu":
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.BatchNorm2d):
            layer = SyncedBatchNorm2d(module.num_features, module.eps, module.momentum)
            layer.load_state_dict(module.state_dict())
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, layer)
    return model
