import shlex
from dataclasses import replace

import pytest
import tyro
from huggingface_hub import DatasetCard

from distillation.cache.card import cache_card, command, size_category
from distillation.cache.facts import asked_teacher
from distillation.train import Config
from distillation.views import AUGMENTATIONS


@pytest.mark.parametrize(
    ("rows", "category"),
    [
        (0, "n<1K"),
        (999, "n<1K"),
        (1_000, "1K<n<10K"),
        (99_999, "10K<n<100K"),
        (100_000, "100K<n<1M"),
        (5_124_668, "1M<n<10M"),
        (10**7, "10M<n<100M"),
    ],
)
def test_a_number_of_rows_has_the_category_whose_bounds_it_lies_in(rows, category):
    assert size_category(rows) == category


@pytest.mark.parametrize("augmentation", [*AUGMENTATIONS.values(), replace(AUGMENTATIONS["strong"], min_scale=0.08)])
def test_the_command_of_a_card_asks_for_what_the_cache_holds(cache_facts, augmentation):
    facts = cache_facts(augmentation=augmentation, sources=("my photos", "more.parquet"))
    program, recipe, *arguments = shlex.split(command(facts, "robots/targets"))
    assert (program, recipe) == ("xdistill", "distill")
    config = tyro.cli(Config, args=arguments)
    assert (config.targets, config.verify_targets) == ("robots/targets", 0)
    assert config.images == ("my photos", "more.parquet")
    asked = tuple(asked_teacher(spec, config.teacher_image_size, config.embedding) for spec in config.teacher)
    views, drawn = config.views_per_image, config.drawn
    assert facts.differences(cache_facts(seed=config.seed, views=views, augmentation=drawn, teachers=asked)) == []


def test_the_command_names_the_split_of_the_images(cache_facts):
    commands = [command(cache_facts(made=made), "robots/targets") for made in ({}, {"split": "validation"})]
    assert [tyro.cli(Config, args=shlex.split(each)[2:]).split for each in commands] == ["train", "validation"]


def test_the_command_for_teachers_of_several_sizes_asks_for_each_ones_own(cache_facts):
    (teacher,) = cache_facts().teachers
    facts = cache_facts(teachers=(teacher, replace(teacher, name="swin", image_size=64)))
    config = tyro.cli(Config, args=shlex.split(command(facts, "robots/targets"))[2:])
    asked = tuple(asked_teacher(spec, config.teacher_image_size, config.embedding) for spec in config.teacher)
    assert facts.differences(replace(facts, views=None, teachers=asked)) == []


def test_a_cards_metadata_name_a_split_for_each_view_of_the_cache(cache_facts, whole):
    metadata = DatasetCard(cache_card(cache_facts(), "robots/targets")).data.to_dict()
    (config,) = metadata["configs"]
    assert [entry["split"] for entry in config["data_files"]] == ["view_000", "view_001"]
    for view, entry in enumerate(config["data_files"]):
        assert sorted(whole.folder.glob(entry["path"])) == [whole.file(view, shard) for shard in range(3)]
    assert metadata["size_categories"] == ["n<1K"]
    assert metadata["pretty_name"] == "Embeddings by vit"


def test_a_card_tells_of_every_teacher_and_of_patch_tokens_where_they_were_kept(cache_facts):
    (teacher,) = cache_facts().teachers
    card = cache_card(cache_facts(teachers=(teacher, replace(teacher, name="swin", revision=None))), "robots/targets")
    assert "embedded by vit + swin\n" in card
    assert f"| vit | {teacher.revision} | aaaa | cls | 3 | 32 px, bicubic |\n| swin | - | aaaa |" in card
    assert "`embedding`, 6 float16 numbers.\n" in card
    assert "3 float16 numbers, patch tokens pooled to (5, 2, 2)" in cache_card(cache_facts(patch_grid=2), "robots/t")
