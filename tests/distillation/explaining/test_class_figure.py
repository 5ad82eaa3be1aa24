import numpy as np
from matplotlib import colormaps
from PIL import Image

from distillation.explaining.class_figure import Panel, draw_classes


def picture(path, panels: int, classes: int) -> np.ndarray:
    """(H, W, 3) uint8."""
    rng = np.random.default_rng(0)
    labels = np.arange(40) % classes
    drawn = [Panel(f"network {number}", rng.normal(size=(40, 2)), 0.5) for number in range(panels)]
    draw_classes(path, drawn, labels, [f"class {number}" for number in range(classes)], 10)
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_a_network_is_a_panel(tmp_path):
    assert picture(tmp_path / "4.png", 4, 3).shape[1] == 2 * picture(tmp_path / "2.png", 2, 3).shape[1]


def test_every_class_has_a_colour_of_its_own(tmp_path):
    """Ten of matplotlib's, 85 % opaque over white."""
    pixels = picture(tmp_path / "10.png", 2, 10).reshape(-1, 3).astype(float)
    for colour in np.array(colormaps["tab10"].colors):  # type: ignore[attr-defined]
        over_white = 255 * (0.85 * colour + 0.15)
        assert np.abs(pixels - over_white).max(axis=1).min() < 4
