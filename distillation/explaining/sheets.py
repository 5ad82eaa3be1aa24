"""Sheets of small pictures as PNG files."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

SIDE_INCHES = 1.6


def draw_maps(path: Path, images: Sequence[Tensor], networks: Sequence[tuple[str, Tensor]]) -> None:
    """Write a PNG: an image a row; beside it each network's map in colours.

    Args:
        images: (3, S, S) uint8 each.
        networks: (name, (B, h, w, 3) float in [0, 1]) each.
    """
    columns = 1 + len(networks)
    figure = Figure(
        figsize=(SIDE_INCHES * 1.3 * columns, SIDE_INCHES * len(images) + 0.7), dpi=120, layout="constrained"
    )
    grid = figure.subplots(len(images), columns, squeeze=False)
    for row, image in enumerate(images):
        show(grid[row, 0], image.movedim(0, -1))
        for column, (_, colours) in enumerate(networks, 1):
            show(grid[row, column], colours[row])
    for column, name in enumerate(["image", *(named(name, colours) for name, colours in networks)]):
        grid[0, column].set_title(name, fontsize=7)
    figure.supxlabel(
        "red, green, blue: principal components 1, 2, 3 of a column's maps; columns share none", fontsize=7
    )
    save(figure, path)


def draw_neighbours(
    path: Path, images: Sequence[Tensor], networks: Sequence[tuple[str, Sequence[Sequence[Tensor]], Tensor]]
) -> None:
    """Write a PNG: for each image a row a network, the image first, then its neighbours with their cosines.

    Args:
        images: (3, S, S) uint8 each.
        networks: (name, for each image its neighbours (3, S, S) uint8, cosines (B, K)) each.
    """
    count = networks[0][2].shape[1]
    rows = len(images) * len(networks)
    figure = Figure(figsize=(SIDE_INCHES * (1 + count), 1.15 * SIDE_INCHES * rows), dpi=100, layout="constrained")
    grid = figure.subplots(rows, 1 + count, squeeze=False)
    for place, image in enumerate(images):
        for offset, (name, neighbours, cosines) in enumerate(networks):
            row = grid[place * len(networks) + offset]
            show(row[0], image.movedim(0, -1))
            row[0].set_title(name if len(name) < 24 else f"{name[:11]}…{name[-11:]}", fontsize=7)
            for column, (neighbour, cosine) in enumerate(zip(neighbours[place], cosines[place], strict=True), 1):
                show(row[column], neighbour.movedim(0, -1))
                row[column].set_title(f"cosine {cosine:.3f}", fontsize=7)
    save(figure, path)


def named(name: str, colours: Tensor) -> str:
    """The title of a column: the network over the size of its map."""
    short = name if len(name) < 28 else f"{name[:13]}…{name[-13:]}"
    return f"{short}\n{colours.shape[1]} x {colours.shape[2]} positions"


def show(axes: Axes, picture: Tensor) -> None:
    """A picture (H, W, 3) without axes; its positions stay squares."""
    axes.imshow(picture.numpy(), interpolation="nearest")
    axes.set_axis_off()


def save(figure: Figure, path: Path) -> None:
    """Write a PNG, whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    figure.savefig(partial, format="png")
    partial.replace(path)
