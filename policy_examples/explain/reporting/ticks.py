"""Where the axes of a chart have their ticks."""

from math import ceil, floor, log10


def linear_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) within [low, high], low < high; `most` or one more."""
    rough = (high - low) / most
    power = 10.0 ** floor(log10(rough))
    distance = next(step * power for step in (1, 2, 5, 10) if step * power >= rough * (1 - 1e-9))
    first, last = ceil(low / distance - 1e-9), floor(high / distance + 1e-9)
    return [number * distance for number in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten within [low, high], both above 0; where there are fewer than three, 2 and 5 times them too."""
    powers = range(floor(log10(low)) - 1, ceil(log10(high)) + 2)
    decades = [10.0**power for power in powers]
    finer = [factor * decade for decade in decades for factor in (1, 2, 5)]
    found = [value for value in decades if low <= value <= high]
    return found if len(found) > 2 else [value for value in finer if low * 0.999 <= value <= high * 1.001]


def tick_text(value: float) -> str:
    """ "0.05", "200", "20k", "1.5M"."""
    for size, unit in ((1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e6 if unit == 'M' else 1e3):g}{unit}"
    return f"{value:.6g}"
