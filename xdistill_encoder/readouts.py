"""What a policy reads from the feature map of the encoder."""

import torch
from torch import Tensor

from xdistill_encoder.images import check_image_size

STRIDES = (4, 8, 16, 32)
CHANNELS = (64, 128, 256, 512)


def pool(features: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C), the mean over all positions."""
    return features.mean(dim=(-2, -1))


def tokens(features: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H * W, C), one token per position, rows first."""
    return features.flatten(-2).transpose(-2, -1)


def spatial_softmax(features: Tensor, temperature: float = 1.0) -> Tensor:
    """(B, C, H, W) -> (B, 2 * C), the expected position of each channel's activation.

    Interleaved (x0, y0, x1, y1, ...), each in [-1, 1] from the centre of the first column (row) to that of the
    last; a single column or row sits at 0. Finn et al., arXiv 1509.06113, section V.

    Raises:
        ValueError: temperature is not above 0.
    """
    if not temperature > 0:
        raise ValueError(f"temperature: expected a number above 0, got {temperature}")
    height, width = features.shape[-2:]
    attention = (features.flatten(-2) / temperature).softmax(dim=-1).unflatten(-1, (height, width))
    x = (attention.sum(dim=-2) * _positions(width, features)).sum(dim=-1)
    y = (attention.sum(dim=-1) * _positions(height, features)).sum(dim=-1)
    return torch.stack([x, y], dim=-1).flatten(-2)


def _positions(count: int, like: Tensor) -> Tensor:
    last = count - 1
    # 0, 1, ..., last. An arange would fix the device of a program; a cumsum is not deterministic on CUDA.
    steps = like.new_ones((count, count), dtype=torch.float32).tril(-1).sum(dim=-1)
    centred = 2 * steps - last  # -last, -last + 2, ..., last
    scale: int = torch.sym_max(last, 1)  # type: ignore[assignment]  # no branch on a size: exported graphs keep it free
    return (centred / scale).to(like.dtype)


def map_size(size: tuple[int, int], stride: int) -> tuple[int, int]:
    """Height and width of the map at a stride (4, 8, 16, 32) for an image of a size in px: ceil(size / stride)."""
    height, width = size
    return -(-height // stride), -(-width // stride)


def output_shape(
    image_size: tuple[int, int], readout: str, teacher_features: int | None
) -> tuple[int, ...] | tuple[tuple[int, int, int], ...]:
    """Shape of a readout for one image of (H, W) px; see `XDistillResNet18.output_shape`."""
    check_image_size(image_size)
    pyramid = tuple(
        (channels, *map_size(image_size, stride)) for channels, stride in zip(CHANNELS, STRIDES, strict=True)
    )
    channels, height, width = pyramid[-1]
    shapes = {
        "pooled": (channels,),
        "features": pyramid[-1],
        "pyramid": pyramid,
        "spatial_softmax": (2 * channels,),
        "tokens": (height * width, channels),
        "teacher_embedding": (teacher_features,),
    }
    if readout not in shapes:
        raise ValueError(f"readout: expected one of {', '.join(shapes)}, got {readout!r}")
    return shapes[readout]
