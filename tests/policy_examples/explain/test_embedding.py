import csv
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from policy_examples import train
from policy_examples.explain import embedding
from policy_examples.explain.embedding_figure import look
from policy_examples.explain.staged_frames import Stage
from policy_examples.formats.episodes import Selection
from policy_examples.store import save_demonstrations


@pytest.fixture
def store(demonstrations, tmp_path):
    path = tmp_path / "reach.zarr"
    save_demonstrations(demonstrations, path)
    return path


def run(monkeypatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["xdistill explain embedding", *map(str, arguments)])
    embedding.main()


def test_the_command_writes_picture_table_and_summary(store, tmp_path, monkeypatch, capsys):
    output = tmp_path / "out"
    encoders = ("xdistill", "resnet18-scratch")
    run(
        monkeypatch,
        "--demos",
        store,
        "--encoders",
        *encoders,
        "--stages",
        "time",
        "--bootstrap",
        20,
        "--output",
        output,
    )
    with (output / "embedding.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["encoder"], row["method"]) for row in rows] == [
        (encoder, method) for encoder in encoders for method in ("features", "tsne", "pca")
    ]
    for row in rows:
        assert -1 <= float(row["low"]) <= float(row["high"]) <= 1
        assert (row["frames"], row["episodes"], row["stages"]) == ("21", "2", "3")
    summary = json.loads((output / "summary.json").read_text())
    assert summary["config"]["stages"] == "time"
    assert summary["command"].startswith("xdistill explain embedding --demos")
    assert {"commit", "versions", "demonstrations", "rows"} <= set(summary)
    with Image.open(output / "embedding.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.shape[0] > 600
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50
    assert "xdistill, features: silhouette" in capsys.readouterr().out


def test_a_run_s_encoder_is_seen_as_it_was_pretrained_and_after_fine_tuning_on_the_run_s_demonstrations(
    store, tmp_path, monkeypatch
):
    run_folder, output = tmp_path / "runs/reach", tmp_path / "out"
    small = {"steps": 3, "warmup_steps": 1, "batch_size": 4, "channels": (16, 32), "lr": 1e-2, "bf16": False}
    train.train(replace(train.PRESETS["cpu"], demos=store, output=run_folder, **small))
    named = ("--encoders", "xdistill", "--policies", run_folder)
    run(monkeypatch, *named, "--stages", "time", "--bootstrap", 5, "--output", output)
    with (output / "embedding.csv").open(newline="") as file:
        scores = [(row["encoder"], row["silhouette"]) for row in csv.DictReader(file) if row["method"] == "features"]
    (_, pretrained), (before, as_it_started), (after, fine_tuned) = scores
    assert (before, after) == ("reach, before", "reach, after")
    assert as_it_started == pretrained
    assert fine_tuned != pretrained


def test_the_same_command_gives_the_same_table(store, tmp_path):
    config = embedding.Config(
        (store,), encoders=("resnet18-scratch",), stages="time", bootstrap=10, output=tmp_path / "out"
    )
    first = embedding.explain(config)
    table = (tmp_path / "out" / "embedding.csv").read_bytes()
    assert embedding.explain(config) == first
    assert (tmp_path / "out" / "embedding.csv").read_bytes() == table


def test_a_missing_store_is_one_line_of_advice(tmp_path, monkeypatch):
    with pytest.raises(
        SystemExit, match=r"^xdistill explain embedding: demos: there is no .*make it with `xdistill dem"
    ):
        run(monkeypatch, "--demos", tmp_path / "none.zarr", "--output", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_of_one_task_colours_tell_the_stages_and_of_several_the_tasks():
    door = [Stage("door-open", number, 2, "") for number in (1, 2)]
    drawer = [Stage("drawer-open", number, 2, "") for number in (1, 2)]
    assert len({look(stage, door) for stage in door}) == 2
    assert len({look(stage, door)[0] for stage in door}) == 2
    many = [Stage("door-open", number, 20, "") for number in range(1, 21)]
    assert len({look(stage, many) for stage in many}) == 20
    both = door + drawer
    assert len({look(stage, both) for stage in both}) == 4
    assert len({look(stage, both)[0] for stage in door}) == 1


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="frames_per_episode: expected 2 or more, got 1"):
        embedding.Config(frames_per_episode=1)
    with pytest.raises(ValueError, match="selection: the policies' own demonstrations have theirs; name others with"):
        embedding.Config(policies=(Path("run"),), selection=Selection(cameras=("img",)))
