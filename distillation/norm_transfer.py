"""Group norm in the place of a trained network's batch norm."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@torch.no_grad()
def take_over(network: nn.Module, trained: dict[str, Tensor]) -> None:
    """Load a state dict of the same network with batch norm; what group norm does not have, the statistics, is left.

    Raises:
        RuntimeError: keys or shapes of another network.
    """
    ours = network.state_dict()
    network.load_state_dict({key: value for key, value in trained.items() if key in ours})


@torch.no_grad()
def calibrate(network: nn.Module, images: Tensor) -> None:
    """Scale and offset of every group norm, from the first to the last, so that each channel has on these images the
    mean and the spread that it had behind batch norm.

    Behind batch norm with scale γ and offset β a channel has mean β and standard deviation |γ| over images and
    positions; group norm's own output, before scale and offset, has others, which differ from channel to channel. The
    idea is data-dependent initialisation (Krähenbühl et al., arXiv 1511.06856).

    Args:
        network: in eval mode afterwards; its group norms hold batch norm's γ and β, as `take_over` loads them.
        images: (B, 3, H, W), as the network takes them; some hundreds, because B * h * w numbers of each channel count.
    """

    def set_affine(layer: nn.GroupNorm, inputs: tuple[Tensor], outputs: Tensor) -> Tensor:
        normalised = F.group_norm(inputs[0].float(), layer.num_groups, eps=layer.eps)
        mean, spread = normalised.mean(dim=(0, 2, 3)), normalised.std(dim=(0, 2, 3)).clamp(min=1e-3)
        layer.weight.div_(spread)
        layer.bias.sub_(layer.weight * mean)
        return F.group_norm(inputs[0], layer.num_groups, layer.weight, layer.bias, layer.eps)

    network.eval()
    layers = [module for module in network.modules() if isinstance(module, nn.GroupNorm)]
    hooks = [layer.register_forward_hook(set_affine) for layer in layers]
    try:
        network(images)
    finally:
        for hook in hooks:
            hook.remove()
