import csv
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from distillation import train
from distillation.ablation import BASE, VARIANTS, VIEWS, Config, has, run, run_config


@pytest.fixture
def config(tmp_path, parquet, bank, teacher_spec):
    return Config(
        teacher=(teacher_spec,),
        images=(parquet,),
        bank=(bank,),
        queries=(parquet,),
        transfer_bank=(bank,),
        transfer_queries=(str(shutil.copy(parquet, tmp_path / "others.parquet")),),
        csv=tmp_path / "ablation.csv",
        output=tmp_path / "runs",
        targets="cache",
        steps=1,
        batch_size=8,
        image_size=32,
        score_image_size=32,
        workers=0,
    )


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_variant_is_a_run_of_the_same_length_in_a_folder_of_its_own(config):
    variants = VARIANTS | VIEWS
    settings = {name: run_config(config, name) for name in variants}
    assert {setting.max_steps for setting in settings.values()} == {1}
    assert len({setting.output for setting in settings.values()}) == len(variants)
    for name, changes in variants.items():
        assert {key: getattr(settings[name], key) for key in changes} == changes


def test_the_cache_serves_variants_of_its_views_and_embedding_alone(config):
    cached = {name for name in VARIANTS | VIEWS if run_config(config, name).targets}
    assert {BASE, "cosine", "group norm", "ema 0.99"} <= cached
    assert not cached & {*VIEWS, "strong views", "crops from 8 %", "avg of patches", "mse + patch", "mse, another seed"}


def test_a_variant_leaves_a_row_and_is_not_run_again(config, monkeypatch):
    monkeypatch.setitem(train.PRESETS, "cpu", replace(train.PRESETS["cpu"], compile=False))
    run(config := replace(config, only=("cosine",), targets=None))
    (row,) = rows(config.csv)
    assert (row["variant"], row["settings"], row["steps"]) == ("cosine", '{"loss": ["cosine"]}', "1")
    assert (row["image_size_px"], row["score_image_size_px"], row["teacher"]) == (
        "32",
        "32",
        Path(config.teacher[0]).name,
    )
    assert row["command"].endswith("--only cosine")
    run(config)
    assert rows(config.csv) == [row]


def test_two_sets_of_one_name_are_refused_whose_columns_would_be_one(config):
    with pytest.raises(ValueError, match="queries, transfer_queries: both are called 'train', which names columns"):
        run(replace(config, transfer_queries=config.queries))


def test_rows_of_other_columns_are_refused_before_anything_is_trained(config):
    config.csv.write_text("variant,other_knn10_percent\n")
    with pytest.raises(ValueError, match="csv: .*ablation.csv has columns"):
        run(config)
    assert not config.output.exists()


def test_an_unknown_variant_lists_the_known_ones(config):
    with pytest.raises(ValueError, match="only: expected names among mse, .*, got 'mae'"):
        run(replace(config, only=("mae",)))


def test_a_row_counts_for_its_own_budget_alone():
    row = {"variant": "mse", "steps": "400", "images": "38806", "image_size_px": "64", "teacher": "vit_tiny"}
    budget = {"variant": "mse", "steps": 400, "images": 38806, "image_size_px": 64, "teacher": "vit_tiny"}
    assert has(row, budget)
    for change in (
        {"steps": 200},
        {"images": 2000},
        {"variant": "cosine"},
        {"image_size_px": 96},
        {"teacher": "dinov2"},
    ):
        assert not has(row, budget | change)
