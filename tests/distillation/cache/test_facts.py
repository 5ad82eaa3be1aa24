import json
import re
from dataclasses import replace

import pytest

from distillation.cache.facts import Facts, TeacherFacts, asked_teacher, describe_teacher
from distillation.views import Augmentation

TEACHER = TeacherFacts(
    "vit", "c0ffee" * 6 + "c0ff", "v1", "aaaa", 32, "bicubic", "cls", 3, 5, (0.5, 0.4, 0.3), (0.2, 0.2, 0.2)
)
FACTS = Facts("1234", 11, 7, 2, Augmentation(), (TEACHER,), 4, None, "bf16", ("photos",), {"command": "xdistill"})
WANTED = replace(FACTS, shard_rows=None, precision=None, sources=(), made={})  # as a run asks, not a build


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"images_fingerprint": "9999"}, "images_fingerprint was 1234, is 9999"),
        ({"images_count": 12}, "images_count was 11, is 12"),
        ({"seed": 8}, "seed was 7, is 8"),
        ({"views": 3}, "views was 2, is 3"),
        ({"augmentation": Augmentation(min_scale=0.2)}, "augmentation.min_scale was 0.35, is 0.2"),
        ({"teachers": (replace(TEACHER, image_size=64),)}, "teacher vit: image_size was 32, is 64"),
        ({"teachers": (replace(TEACHER, embedding="avg"),)}, "teacher vit: embedding was cls, is avg"),
        ({"teachers": (replace(TEACHER, std=(1.0,) * 3),)}, "teacher vit: std was (0.2, 0.2, 0.2), is (1.0, 1.0, 1.0)"),
        ({"teachers": (replace(TEACHER, fingerprint="b"),)}, "teacher vit: fingerprint was aaaa, is b"),
        ({"teachers": (replace(TEACHER, pinned="v2"),)}, "teacher vit: revision was v1, is v2"),
        ({"teachers": (asked_teacher("timm/vit@v2"),)}, "teacher vit: revision was v1, is v2"),
        ({"teachers": (asked_teacher("timm/swin"),)}, "teacher swin: name was vit, is swin"),
        ({"teachers": (asked_teacher("timm/vit", 64, "cls"),)}, "teacher vit: image_size was 32, is 64"),
        ({"teachers": (TEACHER, TEACHER)}, "teachers were vit, are vit, vit"),
    ],
)
def test_what_differs_is_told_as_it_was_and_is(changes, told):
    assert FACTS.differences(replace(WANTED, **changes)) == [told]


@pytest.mark.parametrize(
    "teacher",
    [
        asked_teacher("timm/vit"),
        asked_teacher("timm/vit@v1"),
        asked_teacher("timm/vit@c0ffeec0ffee"),
        asked_teacher("local-dir:/elsewhere/vit"),
        replace(TEACHER, name="a copy of it", revision=None),
        replace(TEACHER, revision="another commit with the same weights"),
    ],
)
def test_the_same_teacher_is_known_by_its_weights_or_without_them_by_its_name(teacher):
    assert FACTS.differences(replace(WANTED, teachers=(teacher,), views=None)) == []


def test_names_for_people_are_not_compared():
    assert FACTS.differences(replace(FACTS, sources=("elsewhere",), made={"date": "today"})) == []


@pytest.mark.parametrize("facts", [FACTS, WANTED, replace(FACTS, patch_grid=2, teachers=(TEACHER, TEACHER))])
def test_facts_come_back_from_json_as_they_were(facts):
    assert Facts.from_json(json.loads(json.dumps(facts.to_json()))) == facts


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"format": 2}, "format: expected 1, got 2"),
        ({"colour": "red"}, "expected augmentation, .*, got augmentation, colour, "),
        ({"teachers": [{"nickname": "vit"}]}, "augmentation, teachers: .*nickname"),
        ({"augmentation": {"min_scale": 2.0}}, r"min_scale: expected a number in \(0, 1\], got 2.0"),
    ],
)
def test_json_of_another_format_or_with_unknown_names_is_refused(changes, told):
    with pytest.raises(ValueError, match=told):
        Facts.from_json(FACTS.to_json() | changes)


def test_widths_of_teachers_add_up_while_patches_are_those_of_the_first():
    two = replace(FACTS, teachers=(TEACHER, replace(TEACHER, width=4, patch_width=6)))
    assert (two.width, two.patch_shape) == (7, None)
    assert replace(two, patch_grid=2).patch_shape == (5, 2, 2)


def test_the_identity_of_a_teacher_does_not_depend_on_its_name_or_commit():
    assert replace(TEACHER, name="copy", revision=None, pinned=None).identity == TEACHER.identity
    for change in (
        {"fingerprint": "b"},
        {"image_size": 64},
        {"embedding": "avg"},
        {"interpolation": "bilinear"},
    ):
        assert replace(TEACHER, **change).identity != TEACHER.identity
    assert replace(TEACHER, std=(1.0,) * 3).normalisation != TEACHER.normalisation
    assert replace(TEACHER, mean=None, std=None).normalisation is None


def test_a_loaded_teacher_is_described_by_what_it_is_with_the_revision_that_its_spec_pins(teacher, teacher_spec):
    described = describe_teacher(teacher, "hf/robots/vit@v3")
    assert (described.name, described.pinned, described.revision) == ("vit_random", "v3", None)
    assert (described.image_size, described.embedding, described.width, described.patch_width) == (32, "cls", 192, 192)
    assert re.fullmatch(r"[0-9a-f]{16}", described.fingerprint or "")
    assert described.differences(asked_teacher(teacher_spec, 32, "cls")) == []
    assert (described.mean, described.std) == ((0.5, 0.4, 0.3), (0.5, 0.6, 0.7))
    assert describe_teacher(teacher, teacher_spec) == replace(described, pinned=None)


def test_a_cache_of_before_normalisation_was_kept_serves_any():
    before = replace(FACTS, teachers=(replace(TEACHER, mean=None, std=None),))
    assert before.differences(WANTED) == []


@pytest.mark.parametrize(
    ("spec", "name", "pinned"),
    [
        ("timm/vit", "vit", None),
        ("timm/vit.lvd142m@v1", "vit.lvd142m", "v1"),
        ("hf/robots/vit@main", "vit", "main"),
        ("local-dir:/models/vit@home", "vit@home", None),  # of a folder, the sign is part of the name
        ("models/vit", "vit", None),
    ],
)
def test_the_spec_of_a_teacher_gives_its_name_and_on_the_hub_its_revision(spec, name, pinned):
    assert asked_teacher(spec, 32, "avg") == TeacherFacts(name, pinned=pinned, image_size=32, embedding="avg")


def test_a_link_to_a_teacher_is_called_as_the_teacher(tmp_path):
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "link").symlink_to("snapshot")
    assert asked_teacher(str(tmp_path / "link")).name == "snapshot"
