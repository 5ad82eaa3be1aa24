"""Saliency as pictures: an overlay of one frame, a strip of an episode, its course, a film."""

from collections.abc import Mapping, Sequence
from math import ceil, floor
from pathlib import Path

import numpy as np

from policy_examples.explain.attribution.focus import Focus
from policy_examples.video import write_video

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
"""Okabe and Ito's, told apart by most eyes."""
BRIGHTEST = 0.995
"""Quantile of a map that gets the brightest colour: single pixels of an input gradient stand out far."""
COURSES = {"share": "share on task objects", "entropy": "entropy; 1 is even, 0 a single pixel"}
"""Numbers of `Focus` that are drawn over the episode -> what they are."""
TILE_PX = 224
LABEL_PX = 32
"""Two lines."""
MACRO_BLOCK_PX = 16
"""Of H.264: sides of a video are multiples of it."""

Maps = Mapping[tuple[str, str], np.ndarray]
"""(method, encoder) -> (steps, H, W) float32."""


def overlay(frame: np.ndarray, saliency: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 frame, (H, W) saliency -> (H, W, 3) uint8: the frame in grey, the saliency over it.

    Brightness is relative to this map's own brightest; two overlays do not compare in strength.
    """
    from matplotlib import colormaps

    brightest = np.quantile(saliency, BRIGHTEST) or saliency.max() or 1.0
    strength = np.clip(saliency / brightest, 0, 1)
    colours = colormaps["inferno"](0.25 + 0.75 * strength)[..., :3] * 255  # the darkest quarter would look like shadow
    grey = np.repeat(frame.mean(axis=-1, keepdims=True), 3, axis=-1)
    opacity = 0.8 * strength[..., None]
    return ((1 - opacity) * grey + opacity * colours).round().astype(np.uint8)


def outline(frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The frame with the border of the mask (H, W) bool, its outermost pixels, in magenta."""
    padded = np.pad(mask, 1, mode="edge")
    inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    outlined = frame.copy()
    outlined[mask & ~inside] = (255, 0, 255)
    return outlined


def draw_strip(
    frames: np.ndarray, masks: np.ndarray | None, maps: Maps, rows: Sequence[Focus], steps: Sequence[int], title: str,
    image: Path, columns: int,
) -> None:  # fmt: skip
    """Write a PNG: the frames with outlined objects, below them a row for every method, encoder.

    Args:
        frames: (steps, H, W, 3) uint8, of `steps`; masks (steps, H, W).
        rows: the numbers of all maps; below each stands its share on task objects.
        columns: so many of the frames, evenly spread, or all where there are fewer.
    """
    from matplotlib.figure import Figure

    shares = {(row.method, row.encoder, row.step): row.share for row in rows}
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(columns, len(frames))).round().astype(int))
    figure = Figure(figsize=(1.2 + 1.5 * len(chosen), 0.5 + 1.6 * (1 + len(maps))), layout="constrained")
    grid = figure.subplots(1 + len(maps), len(chosen), squeeze=False)
    for column, index in enumerate(chosen):
        frame = frames[index] if masks is None else outline(frames[index], masks[index])
        grid[0, column].imshow(frame)
        grid[0, column].set_title(f"step {steps[index]}", fontsize="small")
        for line, ((method, encoder), values) in enumerate(maps.items(), start=1):
            panel, share = grid[line, column], shares[method, encoder, steps[index]]
            panel.imshow(overlay(frames[index], values[index]))
            panel.set_xlabel("" if share is None else f"{share:.0%} on them", fontsize="small")
            if column == 0:
                panel.set_ylabel(f"{encoder}\n{method}", fontsize="small")
    for panel in grid.flat:
        panel.set_xticks([])
        panel.set_yticks([])
    grid[0, 0].set_ylabel("frame" if masks is None else "task objects\noutlined", fontsize="small")
    figure.suptitle(title, fontsize="medium")
    figure.savefig(image, dpi=120)


def draw_course(rows: Sequence[Focus], image: Path) -> None:
    """Write a PNG over the episode, a row a method: entropy, and before it the share on task objects, with their area.

    Without masks there is the entropy alone.
    """
    from matplotlib.figure import Figure

    methods, encoders = (list(dict.fromkeys(getattr(row, name) for row in rows)) for name in ("method", "encoder"))
    areas: dict[str, dict[int, float]] = {}
    for row in rows:
        if row.area is not None:
            areas.setdefault(row.encoder, {})[row.step] = row.area
    alike = len({tuple(of_steps.items()) for of_steps in areas.values()}) == 1  # else policies crop frames differently
    shown = COURSES if areas else {"entropy": COURSES["entropy"]}
    figure = Figure(figsize=(1 + 4.5 * len(shown), 0.9 + 2.3 * len(methods)), layout="constrained")
    grid = figure.subplots(len(methods), len(shown), sharex=True, sharey="col", squeeze=False)
    for panels, method in zip(grid, methods, strict=True):
        for panel, (name, title) in zip(panels, shown.items(), strict=True):
            for index, encoder in enumerate(encoders):
                its = [row for row in rows if (row.method, row.encoder) == (method, encoder)]
                found = {row.step: value for row in its if (value := getattr(row, name)) is not None}
                colour = COLOURS[index % len(COLOURS)]
                panel.plot(list(found), list(found.values()), ".-", markersize=4, color=colour, label=encoder)
            if name == "share":
                for encoder, of_steps in list(areas.items())[: 1 if alike else None]:
                    label = "area of the objects" if alike else f"area of the objects as {encoder} sees it"
                    colour = "black" if alike else COLOURS[encoders.index(encoder) % len(COLOURS)]
                    panel.plot(list(of_steps), list(of_steps.values()), ":", color=colour, label=label)
            panel.set_title(f"{method}: {title}", fontsize="medium")
            panel.grid(alpha=0.3)
    for panel, name in zip(grid[-1], shown, strict=True):
        panel.set_xlabel("step of the episode", fontsize="small")
        drawn = [value for row in rows if (value := getattr(row, name)) is not None]
        covered = [area for of_steps in areas.values() for area in of_steps.values()]
        panel.set_ylim(*limits([*drawn, *covered] if name == "share" else drawn, name))
    handles, names = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=min(3, len(names)), fontsize="small")
    figure.savefig(image, dpi=120)


def limits(values: Sequence[float], name: str) -> tuple[float, float]:
    """Of an axis: a share's begins at 0, an entropy's ends at 1; the other end is the next tenth."""
    if name == "share":
        return 0.0, min(1.0, floor(10 * max(values, default=0.9)) / 10 + 0.1)
    return max(0.0, ceil(10 * min(values, default=0.1)) / 10 - 0.1), 1.0


def film(
    frames: np.ndarray, masks: np.ndarray | None, maps: Maps, steps: Sequence[int], every: int, fps: float, path: Path
) -> None:
    """Write an MP4: beside the frame a tile for every encoder, a line for every method; a frame an action.

    Args:
        every: actions from one of `steps` to the next, during which a picture stands.
        fps: actions a second.
    """
    methods, encoders = (list(dict.fromkeys(names)) for names in zip(*maps, strict=True))
    pictures: list[np.ndarray] = []
    for index, step in enumerate(steps):
        plain = frames[index] if masks is None else outline(frames[index], masks[index])
        lines = []
        for method in methods:
            tiles = [tile(plain, f"step {step}")]
            tiles += [tile(overlay(frames[index], maps[method, name][index]), method, name) for name in encoders]
            lines.append(np.concatenate(tiles, axis=1))
        pictures += [padded(np.concatenate(lines))] * every
    write_video(pictures, path, fps)


def tile(picture: np.ndarray, *label: str) -> np.ndarray:
    """(H, W, 3) uint8 of any size -> (LABEL_PX + TILE_PX, TILE_PX, 3), its aspect kept, with lines of text above it.

    Of a long line the end is shown, which tells the folders of policies apart.
    """
    from PIL import Image, ImageDraw, ImageOps

    canvas = Image.new("RGB", (TILE_PX, LABEL_PX + TILE_PX), "black")
    shown = ImageOps.pad(Image.fromarray(picture), (TILE_PX, TILE_PX), Image.Resampling.NEAREST)
    canvas.paste(shown, (0, LABEL_PX))
    pen = ImageDraw.Draw(canvas)
    for line, text in enumerate(label):
        while text and pen.textlength(text) > TILE_PX - 8:
            text = "\u2026" + text.lstrip("\u2026")[1:]
        pen.text((4, 3 + line * LABEL_PX // 2), text, fill="white")
    return np.asarray(canvas)


def padded(picture: np.ndarray) -> np.ndarray:
    """Black at the right, at the bottom, up to sides that a video can have."""
    height, width, _ = picture.shape
    return np.pad(picture, ((0, -height % MACRO_BLOCK_PX), (0, -width % MACRO_BLOCK_PX), (0, 0)))
