"""Batch norm whose statistics are those of what all processes compute at once: the batch, or a micro-batch of it."""

import torch
from torch import Tensor, nn

from xdistill_encoder.norms import BatchNorm2d


class SumOverProcesses(torch.autograd.Function):
    """A tensor summed over all processes; gradients are summed likewise."""

    @staticmethod
    def forward(ctx: object, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> Tensor:
        return SumOverProcesses.forward(ctx, gradients[0])


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
        mean = SumOverProcesses.apply(x.mean((0, 2, 3))) / processes  # (C,)
        centred = x - mean.view(1, -1, 1, 1)
        variance = SumOverProcesses.apply(centred.square().mean((0, 2, 3))) / processes
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
    """Replace every batch norm by one that sees all processes: torch's on GPUs, ours on CPUs; keys stay.

    Raises:
        ValueError: a batch norm that does more than that, such as timm's with an activation, which would be lost.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d) and type(module) not in (nn.BatchNorm2d, BatchNorm2d):
            raise ValueError(
                f"backbone: {name} is a {type(module).__name__}, whose statistics cannot be shared between processes; "
                "train this student on one"
            )
    if device.type != "cpu":
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.BatchNorm2d):
            layer = SyncedBatchNorm2d(module.num_features, module.eps, module.momentum)
            layer.load_state_dict(module.state_dict())
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, layer)
    return model
