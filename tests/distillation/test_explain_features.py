import json
import sys

import pytest
import torch
from PIL import Image

from distillation.explain_features import Config, explain, main, spread

CPU = torch.device("cpu")


def settings(parquet: str, tmp_path, **others) -> Config:
    small = {"encoders": ("random",), "image_size": 64, "count": 3, "neighbours": 2, "output": tmp_path / "out"}
    return Config((parquet,), **(small | others))


def test_maps_of_encoder_and_teacher_and_neighbours_are_pictures(parquet, teacher_spec, tmp_path):
    summary = explain(settings(parquet, tmp_path, teacher=teacher_spec), CPU)
    for name in ("maps.png", "neighbours.png"):
        with Image.open(tmp_path / "out" / name) as picture:
            assert min(picture.size) > 300
    written = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert written["neighbours"] == summary["neighbours"]
    assert set(summary["neighbours"]) == {"random", "teacher vit_random"}
    assert {"command", "commit", "versions", "config"} <= set(written)
    assert len(summary["shown"]) == 3


def test_an_image_is_its_own_neighbour_in_a_set_that_holds_it_and_not_among_the_others(parquet, tmp_path):
    inside = explain(settings(parquet, tmp_path, among=(parquet,)), CPU)
    nearest = [found[0] for found in inside["neighbours"]["random"]]
    assert [found["image"] for found in nearest] == inside["shown"]
    assert [found["cosine"] for found in nearest] == pytest.approx([1, 1, 1])
    others = explain(settings(parquet, tmp_path), CPU)
    for shown, found in zip(others["shown"], others["neighbours"]["random"], strict=True):
        assert shown not in [neighbour["image"] for neighbour in found]
    assert others["searched_images"] == inside["searched_images"] == 24


def test_the_same_command_finds_the_same(parquet, tmp_path):
    first = explain(settings(parquet, tmp_path), CPU)
    picture = (tmp_path / "out" / "maps.png").read_bytes()
    assert explain(settings(parquet, tmp_path), CPU)["neighbours"] == first["neighbours"]
    assert (tmp_path / "out" / "maps.png").read_bytes() == picture


def test_images_are_shown_at_equal_distances():
    assert spread(24, 3) == [0, 8, 16]
    assert spread(2, 6) == [0, 1]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--images", "/nowhere/at/all"], "images: nothing at /nowhere/at/all; give parquet files"),
        (["--images", "PARQUET", "--encoders", "/nowhere"], "/nowhere"),
        (["--images", "PARQUET", "--encoders", "random", "random"], "expected each once, got random, random"),
        (["--images", "PARQUET", "--encoders", "random", "--neighbours", "24"], "expected 1 to 23"),
    ],
)
def test_what_is_missing_or_impossible_is_said_in_one_line(arguments, named, parquet, tmp_path, monkeypatch):
    given = [parquet if argument == "PARQUET" else argument for argument in arguments]
    command = ["xdistill explain features", *given, "--image-size", "64", "--output", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit, match=f"^xdistill explain features: .*{named}"):
        main()


def test_a_number_below_one_is_refused():
    with pytest.raises(ValueError, match="count: expected 1 or more, got 0"):
        Config(("images",), count=0)
