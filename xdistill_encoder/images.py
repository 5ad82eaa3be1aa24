"""The input contract of the encoder: which image tensors are accepted."""

from collections.abc import Sequence
from numbers import Integral

import torch
from torch import Tensor, nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
MIN_SIZE_PX = 32
OVERSHOOT = 0.1  # bicubic and Lanczos resampling leave [0, 1] by a few per cent at sharp edges
NOISE = 0.5  # augmentation that was not clamped stays within it; images in [-1, 1] do not
FLOAT_DTYPES = (torch.float16, torch.bfloat16, torch.float32)


class ImageNormalizer(nn.Module):
    """Checked images -> ImageNet-normalised batch.

    Args:
        inputs_normalized: the host has subtracted the ImageNet mean and divided by the ImageNet standard deviation;
            only the checks remain.
        check_values: look for values outside the accepted range. Layout and dtype are always checked.
    """

    def __init__(self, *, inputs_normalized: bool = False, check_values: bool = True):
        super().__init__()
        self.inputs_normalized = inputs_normalized
        self.check_values = check_values

    def forward(self, images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """(..., 3, H, W), at least one leading axis -> (B, 3, H, W), normalised, in `dtype`.

        Accepted are RGB images, channels first, H and W from 32 px up: uint8 in [0, 255], or float16, bfloat16 or
        float32 in [0, 1] (with `inputs_normalized`: floats that are ImageNet-normalised already).

        Raises:
            ValueError: anything else. Inside a compiled or exported graph values out of range are a RuntimeError. On
                CUDA they are a device-side assertion, so that no step waits for the device: the process must start
                again, and the same batch on the CPU tells more. On ROCm they are a ValueError, and compiled graphs
                there may check no values. A TorchScript trace (torch.jit.trace) keeps the example's dtype, rank and
                scale, and checks no values: use torch.export.
        """
        check_layout(images)
        check_dtype(images, inputs_normalized=self.inputs_normalized)
        images = images.flatten(0, -4)
        if self.check_values and images.is_floating_point():
            check_range(images, inputs_normalized=self.inputs_normalized)
        pixels = images.to(dtype)
        if self.inputs_normalized:
            return pixels
        white = 1 if images.is_floating_point() else 255
        scale = per_channel([1 / (white * std) for std in IMAGENET_STD], pixels)
        shift = per_channel([-mean / std for mean, std in zip(IMAGENET_MEAN, IMAGENET_STD, strict=True)], pixels)
        return torch.addcmul(shift, pixels, scale)

    def extra_repr(self) -> str:
        return f"inputs_normalized={self.inputs_normalized}, check_values={self.check_values}"


def per_channel(values: Sequence[float], like: Tensor) -> Tensor:
    """Three numbers -> (1, 3, 1, 1) on the device, in the dtype of another tensor, which waits for no device.

    A buffer would be lost where a host builds on the meta device, and coarse for ever after a visit to float16.
    """
    return torch.cat([like.new_full((1, 1, 1, 1), value) for value in values], dim=1)


def check_layout(images: Tensor) -> None:
    """Refuse what is not a non-empty (..., 3, H, W) tensor with a leading axis and H, W >= 32; raises ValueError."""
    if isinstance(images, torch.fx.Proxy):
        raise ValueError("images: torch.fx cannot trace these checks; trace encoder.trunk, on normalised images")
    if not isinstance(images, Tensor):
        raise ValueError(
            f"images: expected a torch.Tensor (B, 3, H, W), got {type(images).__name__}; "
            "convert with torch.from_numpy(array).movedim(-1, -3) or torchvision's pil_to_tensor"
        )
    shape = tuple(images.shape)
    if images.ndim < 4:
        hint = "add a batch axis with images[None]" if images.ndim == 3 else "stack RGB images into a batch"
        if images.ndim == 3 and shape[-1] == 3 != shape[0]:
            hint = "channels first, with a batch axis: images.movedim(-1, -3)[None]"
        raise ValueError(f"images: expected (B, 3, H, W) or (B, T, 3, H, W), got shape {shape}; {hint}")
    if images.shape[-3] != 3:
        raise ValueError(f"images: expected 3 channels at axis -3, got shape {shape}; {_channel_hint(images)}")
    if min(shape[-2:]) < MIN_SIZE_PX:
        raise ValueError(f"images: height and width must be at least {MIN_SIZE_PX} px, got shape {shape}; resize first")
    if images.numel() == 0:
        raise ValueError(f"images: the batch is empty, got shape {shape}; pass at least one image")


def check_image_size(image_size: tuple[int, int]) -> None:
    """Refuse what is no (H, W) from 32 px up; raises ValueError."""
    if not isinstance(image_size, (tuple, list)) or len(image_size) != 2:
        raise ValueError(f"image_size: expected (H, W) in px, got {image_size!r}")
    if not all(isinstance(side, Integral) for side in image_size):
        raise ValueError(f"image_size: expected whole numbers of px, got {tuple(image_size)}")
    if min(image_size) < MIN_SIZE_PX:
        raise ValueError(f"image_size: height and width must be at least {MIN_SIZE_PX} px, got {tuple(image_size)}")


def _channel_hint(images: Tensor) -> str:
    if images.shape[-1] == 3:
        return "these look channels last: use images.movedim(-1, -3)"
    if images.shape[-3] == 1 or images.shape[-1] == 1:
        return "grey images: repeat the channel three times, channels first: (B, 3, H, W)"
    if images.shape[-3] == 4 or images.shape[-1] == 4:
        return "drop the alpha or depth channel and keep RGB, channels first: (B, 3, H, W)"
    return "stacked frames or cameras go before the channels: (B, T, 3, H, W)"


def check_dtype(images: Tensor, *, inputs_normalized: bool) -> None:
    """Refuse every dtype but uint8, float16, bfloat16, float32 (floats only when normalised); raises ValueError."""
    if inputs_normalized and not images.is_floating_point():
        raise ValueError(
            f"images: this encoder was built with inputs_normalized=True, so it takes normalised floats, "
            f"got {images.dtype}; normalise first, or build it with inputs_normalized=False"
        )
    if images.dtype not in (torch.uint8, *FLOAT_DTYPES):
        hint = "pixels in [0, 255] go in as images.to(torch.uint8), 16-bit ones as images.float() / 65535"
        if images.is_floating_point() or images.dtype == torch.bool:
            hint = "use images.float()"
        floats = "float16, bfloat16 or float32"
        wanted = f"normalised {floats}" if inputs_normalized else f"uint8 in [0, 255], or {floats} in [0, 1]"
        raise ValueError(f"images: expected {wanted}, got {images.dtype}; {hint}")


def check_range(images: Tensor, *, inputs_normalized: bool) -> None:
    """Refuse NaN, infinities and values that no [0, 1] image has (10 % overshoot passes).

    On the CPU one pass over the pixels, then ValueError; on CUDA and in traced graphs an asynchronous assertion. ROCm,
    whose devices call themselves CUDA, leaves assertions out of its kernels: there each call waits for the device.
    """
    low, high = _accepted_range(inputs_normalized)
    if torch.compiler.is_compiling():  # torch.onnx does not know an aminmax over all axes
        axes = tuple(range(images.ndim))
        lowest, highest = images.amin(dim=axes), images.amax(dim=axes)
    else:
        lowest, highest = torch.aminmax(images if images.is_contiguous() else images.movedim(1, -1))
    inside = (lowest >= low) & (highest <= high)  # False for NaN, which aminmax passes on
    wanted = "ImageNet-normalised floats" if inputs_normalized else "uint8 in [0, 255] or float in [0, 1]"
    asserts = images.is_cuda and torch.version.hip is None
    if torch.compiler.is_compiling() or asserts or images.is_meta:
        torch._assert_async(inside, f"images: expected {wanted}, got values outside [{low:.2f}, {high:.2f}] or NaN")
    elif not torch.jit.is_tracing() and not inside:
        raise ValueError(
            f"images: expected {wanted}, got {images.dtype} in [{lowest.item():.4g}, {highest.item():.4g}]; "
            f"{_range_hint(lowest.item(), highest.item(), inputs_normalized)}"
        )


def _accepted_range(inputs_normalized: bool) -> tuple[float, float]:
    if not inputs_normalized:
        return -OVERSHOOT, 1 + OVERSHOOT
    extremes = [
        (v - m) / s for v in (-OVERSHOOT, 1 + OVERSHOOT) for m, s in zip(IMAGENET_MEAN, IMAGENET_STD, strict=True)
    ]
    return min(extremes), max(extremes)


def _range_hint(lowest: float, highest: float, inputs_normalized: bool) -> str:
    if lowest != lowest or highest != highest:
        return "NaN among the pixels: look at what produced them"
    if inputs_normalized:
        return "subtract the ImageNet mean and divide by its std from images in [0, 1], once"
    if lowest >= -NOISE and highest <= 1 + NOISE:
        return (
            "where these are [0, 1] with noise or overshoot, pass images.clamp(0, 1); where they are a dim part of "
            "[-1, 1], (images + 1) / 2"
        )
    if -1 - 2 * OVERSHOOT <= lowest < -NOISE and highest <= 1 + 2 * OVERSHOOT:
        return "these look like [-1, 1]: pass (images + 1) / 2"
    if -4 <= lowest < -OVERSHOOT and highest <= 4:
        return (
            "these look normalised already: pass the raw image, or build the encoder with inputs_normalized=True "
            "if the host applies ImageNet normalisation; where they are [0, 1] with strong noise, clamp them"
        )
    if lowest >= -OVERSHOOT * highest and 4 < highest <= 255 * (1 + OVERSHOOT):
        return "these look like [0, 255]: divide by 255 or pass uint8"
    return "neither an image in [0, 1] nor one in [0, 255]: rescale to [0, 1]"
