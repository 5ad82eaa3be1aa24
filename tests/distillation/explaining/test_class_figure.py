import numpy as np
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
    """Seen in the middle of the legend's markers, which are opaque enough to differ."""
    few, many = (picture(tmp_path / f"{n}.png", 2, n).reshape(-1, 3) for n in (2, 10))
    saturated = [len(np.unique(p[np.ptp(p.astype(int), axis=1) > 60] // 32, axis=0)) for p in (few, many)]
    assert saturated[1] > saturated[0]
