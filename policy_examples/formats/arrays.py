"""Brings arrays of foreign data sets to the types and shapes of an episode."""

import re
from collections.abc import Callable, Sequence

import numpy as np

_DARKEST = 16
"""A camera's frames in [0, 255] have brighter pixels than this somewhere."""
_COLUMNS = re.compile(r"(?P<name>.+?)\[(?P<first>-?\d*):(?P<end>-?\d*)\]")


def split_columns(name: str) -> tuple[str, slice]:
    """ "state[:2]" -> ("state", slice(None, 2)); a name alone takes all columns."""
    match = _COLUMNS.fullmatch(name)
    if match is None:
        return name, slice(None)
    first, end = (int(match[part]) if match[part] else None for part in ("first", "end"))
    return match["name"], slice(first, end)


def side_by_side(names: Sequence[str], read: Callable[[str], np.ndarray], where: str) -> np.ndarray:
    """Columns of one or several arrays, (L, D) float32.

    Args:
        names: of the arrays, with the columns to take of each.
        read: name without columns -> (L, D) or (L,) numbers.
        where: what the arrays belong to, for people.
    """
    parts = [split_columns(name) for name in names]
    return np.concatenate([as_vectors(read(key), columns, f"{key} {where}") for key, columns in parts], axis=1)


def as_vectors(values: np.ndarray, columns: slice, where: str) -> np.ndarray:
    """(L, D) or (L,) numbers -> (L, columns) float32.

    Raises:
        ValueError: another shape, no such column, or a value that is not finite.
    """
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2 or values.dtype.kind not in "fiub":
        raise ValueError(f"demonstrations: {where} must be (N, D) finite numbers, got {values.shape} {values.dtype}.")
    taken = values[:, columns].astype(np.float32)
    if taken.shape[1] == 0:
        raise ValueError(f"demonstrations: {where} has {values.shape[1]} columns, none of which is asked for.")
    others = int((~np.isfinite(taken)).sum())
    if others:
        raise ValueError(
            f"demonstrations: {where} must be (N, D) finite numbers, got shape {values.shape} with {others} others."
        )
    return taken


def as_images(values: np.ndarray, scale: float | None, size_px: int | tuple[int, int] | None, where: str) -> np.ndarray:
    """(L, H, W, 3) or (L, 3, H, W) RGB -> (L, H, W, 3) uint8.

    Args:
        scale: what a float's 1.0 stands for, 255 or 1; None: the values are uint8.
        size_px: as for `resize`; None keeps their size.

    Raises:
        ValueError: another shape or type, or a value outside the range.
    """
    if values.ndim == 4 and values.shape[-1] != 3 and values.shape[1] == 3:
        values = values.transpose(0, 2, 3, 1)
    if values.ndim != 4 or values.shape[-1] != 3:
        raise ValueError(f"demonstrations: {where} must be (N, H, W, 3) or (N, 3, H, W), got {values.shape}.")
    if scale is None and values.dtype != np.uint8:
        raise ValueError(f"demonstrations: {where} must be uint8, got {values.dtype}.")
    if scale is not None:
        low, high = float(values.min()), float(values.max())
        if not (low >= 0 and high * scale < 255.5):
            raise ValueError(
                f"demonstrations: {where} must be in [0, {255 / scale:g}], as most of its frames are, "
                f"got {low:.4g} to {high:.4g}."
            )
        values = np.rint(values * scale).astype(np.uint8)
    return values if size_px is None else resize(values, size_px)


def resize(images: np.ndarray, size_px: int | tuple[int, int]) -> np.ndarray:
    """(L, H, W, 3) uint8 -> (L, size_px, size_px, 3), or of height and width where two are given; antialiased."""
    height_width = (size_px, size_px) if isinstance(size_px, int) else size_px
    if images.shape[1:3] == height_width:
        return images
    import torch  # which simulators' processes do not need, unless they resize
    from torch.nn.functional import interpolate

    frames = torch.from_numpy(images.copy()).permute(0, 3, 1, 2)
    resized = interpolate(frames, height_width, mode="bilinear", antialias=True)
    return np.ascontiguousarray(resized.permute(0, 2, 3, 1).numpy())


def float_scale(values: np.ndarray, where: str) -> float:
    """What multiplies float images, (n, ...) frames that are spread over all, to [0, 255].

    Raises:
        ValueError: they fill neither [0, 1] nor [0, 255].
    """
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and (0 < high <= 1 or _DARKEST <= high < 256)):
        raise ValueError(
            f"demonstrations: {where} must be uint8, or float in [0, 1] or [0, 255], got values from {low:.4g} to "
            f"{high:.4g}; undo their normalisation."
        )
    return 255.0 if high <= 1 else 1.0


def as_points(values: np.ndarray, where: str) -> np.ndarray:
    """(L, N, 3 or more) -> (L, N, 3) float32, what follows the coordinates, such as colour, left out."""
    if values.ndim != 3 or values.shape[-1] < 3 or values.dtype.kind != "f":
        raise ValueError(
            f"demonstrations: {where} must be (N, points, 3 or more) floats, got {values.shape} {values.dtype}."
        )
    points = values[..., :3].astype(np.float32)
    if not np.isfinite(points).all():
        raise ValueError(f"demonstrations: {where} has points that are not finite.")
    return points
