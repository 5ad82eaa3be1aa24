"""Statistics by which LeRobot normalises."""

import numpy as np

Stats = dict[str, list]
"""min, max, mean, std, quantiles q01 to q99 of each dimension, then the number of frames that they are of."""

_QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
_LEVELS = np.arange(256) / 255


def vector_stats(values: np.ndarray) -> Stats:
    """Of (N, D) numbers, D of each."""
    values = values.astype(np.float64)
    stats = {"min": values.min(0), "max": values.max(0), "mean": values.mean(0), "std": values.std(0)}
    stats |= dict(zip(_QUANTILES, np.quantile(values, list(_QUANTILES.values()), axis=0), strict=True))
    return {**{name: row.tolist() for name, row in stats.items()}, "count": [len(values)]}


def histogram(images: np.ndarray) -> np.ndarray:
    """(N, H, W, 3) uint8 -> (3, 256): how often each channel has each value."""
    return np.stack([np.bincount(images[..., channel].ravel(), minlength=256) for channel in range(3)])


def image_stats(counts: np.ndarray, frames: int) -> Stats:
    """Of a `histogram` over so many frames, pixels in [0, 1]; (3, 1, 1) of each, as LeRobot has them."""
    shares = np.cumsum(counts, axis=1) / counts.sum(axis=1, keepdims=True)  # (3, 256)
    mean = counts @ _LEVELS / counts.sum(axis=1)
    variance = np.stack([row @ (_LEVELS - centre) ** 2 for row, centre in zip(counts, mean, strict=True)])
    stats = {
        "min": _LEVELS[(counts > 0).argmax(axis=1)],
        "max": _LEVELS[255 - (counts > 0)[:, ::-1].argmax(axis=1)],
        "mean": mean,
        "std": np.sqrt(variance / counts.sum(axis=1)),
        **{name: _LEVELS[(shares >= quantile).argmax(axis=1)] for name, quantile in _QUANTILES.items()},
    }
    return {**{name: values.reshape(3, 1, 1).tolist() for name, values in stats.items()}, "count": [frames]}
