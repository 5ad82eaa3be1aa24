import numpy as np
import pytest
from PIL import Image

from distillation.scoring.plot import OURS, draw


def row(encoder: str, queries: str = "val", **scores: object) -> dict[str, object]:
    return {"encoder": encoder, "queries": queries, "image_size_px": 128, "query_images": 10, **scores}


def pixels_of(path, colour: str) -> int:
    image = np.asarray(Image.open(path).convert("RGB"))
    return int((image == [int(colour[i : i + 2], 16) for i in (1, 3, 5)]).all(axis=2).sum())


def test_the_encoders_bar_is_as_long_as_its_score(tmp_path):
    low, high = tmp_path / "low.png", tmp_path / "deep" / "high.png"
    other = row("other", knn10_percent="80")
    draw(low, row("ours", knn10_percent=20.0), [other])
    draw(high, row("ours", knn10_percent=80.0), [other])
    assert pixels_of(high, OURS) > 3 * pixels_of(low, OURS)


def test_rows_on_other_images_and_earlier_rows_of_the_same_encoder_are_left_out(tmp_path):
    alone, beside = tmp_path / "alone.png", tmp_path / "beside.png"
    draw(alone, row("ours", knn10_percent=20.0), [])
    draw(
        beside, row("ours", knn10_percent=20.0), [row("ours", knn10_percent="90"), row("x", "train", knn10_percent="9")]
    )
    assert alone.read_bytes() == beside.read_bytes()


def test_rows_of_another_table_are_refused(tmp_path):
    with pytest.raises(ValueError, match="they have no column queries, image_size_px, knn10_percent"):
        draw(tmp_path / "x.png", row("ours", knn10_percent=20.0), [{"encoder": "a", "loss": "1"}])
