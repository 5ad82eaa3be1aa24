import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from distillation.datasets import LabelledImages, open_labelled
from distillation.explain_classes import Config, class_names, explain, main, most_frequent
from distillation.explaining.class_figure import Panel, draw_classes

CPU = torch.device("cpu")


def settings(parquet: str, tmp_path, **others) -> Config:
    small = {"encoders": ("random",), "image_size": 64, "neighbours": 3, "output": tmp_path / "out"}
    return Config((parquet,), **(small | others))


def test_dark_and_bright_images_are_told_apart_by_encoder_and_teacher(parquet, teacher_spec, tmp_path):
    summary = explain(settings(parquet, tmp_path, teacher=teacher_spec), CPU)
    assert set(summary["accuracy"]) == {"random", "teacher vit_random"}
    assert (
        min(summary["accuracy"].values()) > 0.8
    )  # brightness alone tells these two classes, so that no weights are needed
    assert summary["classes"] == {"dark": 12, "bright": 12}
    written = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert {"command", "commit", "versions", "config"} <= set(written)
    with Image.open(tmp_path / "out" / "classes.png") as picture:
        assert min(picture.size) > 400


def test_labels_that_nothing_in_the_images_tells_are_not_found(parquet, tmp_path, monkeypatch):
    """The same images under labels that alternate within either brightness: an accuracy near one half."""

    def mixed(sources, split):
        images = open_labelled(sources, split)
        return LabelledImages(images.images, np.arange(len(images)) // 2 % 2, images.names)

    monkeypatch.setattr("distillation.explain_classes.open_labelled", mixed)
    accuracy = explain(settings(parquet, tmp_path), CPU)["accuracy"]["random"]
    assert 0.1 < accuracy < 0.75


def test_the_same_command_draws_the_same_picture(parquet, tmp_path):
    explain(settings(parquet, tmp_path), CPU)
    picture = (tmp_path / "out" / "classes.png").read_bytes()
    explain(settings(parquet, tmp_path), CPU)
    assert (tmp_path / "out" / "classes.png").read_bytes() == picture


def test_classes_of_most_images_are_shown_the_first_ones_of_equally_many():
    labels = np.repeat([0, 1, 2, 3], [2, 5, 3, 3])
    assert most_frequent(labels, 2).tolist() == [1, 2]
    assert most_frequent(labels, 9).tolist() == [0, 1, 2, 3]


def test_wordnet_ids_are_told_in_words_and_numbers_where_there_are_no_names():
    one = np.zeros(1, dtype=np.int64)
    assert class_names(LabelledImages(None, one, ("n01440764", "mug")), [0, 1]) == ["tench", "mug"]  # type: ignore
    assert class_names(LabelledImages(None, one, None), [0]) == ["class 0"]  # type: ignore
    cranes = ("n02012849", "n03126707", "n01440764")  # a bird, a machine
    named = class_names(LabelledImages(None, one, cranes), [0, 1, 2])  # type: ignore[arg-type]
    assert named == ["crane (n02012849)", "crane (n03126707)", "tench"]


def test_images_of_one_class_tell_nothing(tmp_path):
    folder = tmp_path / "one" / "mug"
    folder.mkdir(parents=True)
    for number in range(4):
        Image.new("RGB", (64, 64), (60 * number, 0, 0)).save(folder / f"{number}.png")
    config = Config((str(folder.parent),), encoders=("random",), output=tmp_path / "out")
    with pytest.raises(ValueError, match="images: expected two classes or more, got 1"):
        explain(config, CPU)


def test_a_class_may_be_called_a_formula(tmp_path):
    panel = Panel("a", np.random.default_rng(0).normal(size=(4, 2)), 1.0)
    draw_classes(tmp_path / "classes.png", [panel], np.array([0, 0, 1, 1]), ["a$b_$c", "mug"], 3)
    assert (tmp_path / "classes.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--images", "/nowhere/at/all"], "images: nothing at /nowhere/at/all; give parquet files"),
        (["--images", "PARQUET", "--encoders", "random", "--neighbours", "24"], "expected 1 to 23"),
    ],
)
def test_what_is_missing_or_impossible_is_said_in_one_line(arguments, named, parquet, tmp_path, monkeypatch):
    given = [parquet if argument == "PARQUET" else argument for argument in arguments]
    command = ["xdistill explain classes", *given, "--image-size", "64", "--output", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit, match=f"^xdistill explain classes: .*{named}"):
        main()


@pytest.mark.parametrize(("name", "value", "accepted"), [("classes", 21, "2 to 20"), ("most", 2, "3 or more")])
def test_a_number_out_of_its_range_is_refused(name, value, accepted):
    with pytest.raises(ValueError, match=f"{name}: expected {accepted}, got {value}"):
        Config(("images",), **{name: value})
