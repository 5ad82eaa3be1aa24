"""Encoded image files of any kind as RGB tensors."""

import functools
import io
import warnings

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as tvf

try:
    from torchvision.io import ImageReadMode, decode_jpeg, decode_webp
except ImportError:  # torchvision >= 0.29 calls them deprecated; without them everything is read by Pillow
    FAST = {}
else:
    FAST = {"JPEG": decode_jpeg, "WEBP": decode_webp}  # not PNG: decode_png crashes the process on damaged files

MAX_PIXELS = 2**26  # 67 megapixels; a header that claims more is damaged or an attack
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "JPEG2000", "AVIF")
ORIENTATION = 0x0112  # the EXIF tag
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class DamagedImage(ValueError):  # noqa: N818 (a state of the data, not a mistake)
    """The bytes are not an image that can be read; the message says why."""


def decode(data: bytes) -> Tensor:
    """The bytes of an image file -> (3, H, W) uint8, RGB, upright.

    JPEG, PNG, WebP, GIF, TIFF, BMP, PPM, JPEG 2000 and, where Pillow was built with it, AVIF. Grey, palette and CMYK
    become RGB; transparency is laid over white; of 16 bits the upper 8 are kept; EXIF orientation is applied; of an
    animation the first frame counts.

    Raises:
        DamagedImage: no bytes; not an image; truncated; more than `MAX_PIXELS`; pixels of 32 bits, integers or floating
            point, whose range the file does not tell.
    """
    if not data:
        raise DamagedImage("zero bytes")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow, about odd metadata; of torchvision, that its decoders may go
            pixels = _decode_fast(data, "WEBP") if _is_plain_webp(data) else None
            return _decode_any(data) if pixels is None else pixels
    except DamagedImage:
        raise
    except Exception as error:  # whatever a decoder meets in bytes that are no image: struct.error, KeyError, ...
        raise DamagedImage(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__) from error


def _is_plain_webp(data: bytes) -> bool:
    """Lossy WebP without the extended header, so neither transparent, nor animated, nor rotated."""
    if data[:4] != b"RIFF" or data[8:16] != b"WEBPVP8 ":
        return False
    width, height = (int.from_bytes(data[at : at + 2], "little") & 0x3FFF for at in (26, 28))
    return 0 < width * height <= MAX_PIXELS


def _decode_fast(data: bytes, kind: str) -> Tensor | None:
    """The pixels that Pillow would give, in half the time; None: torchvision refuses, so Pillow decides."""
    try:
        return FAST[kind](torch.frombuffer(bytearray(data), dtype=torch.uint8), ImageReadMode.RGB) if FAST else None
    except RuntimeError:
        return None


def _decode_any(data: bytes) -> Tensor:
    """Like `decode`; raises whatever Pillow raises."""
    try:
        image = Image.open(io.BytesIO(data), formats=_formats())
    except Image.UnidentifiedImageError:
        raise DamagedImage(
            f"not an image of {', '.join(_formats())}, or its header is damaged: {len(data)} bytes, first {data[:8]!r}"
        ) from None
    width, height = image.size
    if not 0 < width * height <= MAX_PIXELS:
        raise DamagedImage(f"{width}x{height} px; at most {MAX_PIXELS:,} pixels are decoded")
    if image.format == "JPEG" and image.mode in ("L", "RGB") and _orientation(image) == 1:
        pixels = _decode_fast(data, "JPEG")
        if pixels is not None:
            return pixels
    image.load()
    upright = UPRIGHT.get(_orientation(image))
    image = _rgb(image)
    return tvf.pil_to_tensor(image if upright is None else image.transpose(upright))


@functools.cache
def _formats() -> tuple[str, ...]:
    """Those of `FORMATS` that this Pillow reads; the others it knows run programs or recognise files by luck."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1, upright, where there is none or it is damaged."""
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # metadata may be any bytes; the pixels are good without
        return 1


def _rgb(image: Image.Image) -> Image.Image:
    """A loaded image of any mode -> mode RGB."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise DamagedImage("pixels of 32 bits, whose range is not known; 8 and 16 bits are decoded")
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")
