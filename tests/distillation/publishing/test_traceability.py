import json
from typing import Any

import pytest

from distillation.publishing.traceability import read_scorecards, require_provenance
from xdistill_encoder.checkpoints import CheckpointConfig

NAME, SHA256 = "resnet18-batch-vit_random-24", "ab" * 32
PROVENANCE: dict[str, Any] = {
    "command": "xdistill distill --teacher vit_random --images train.parquet",
    "commit": "0123456789ab",
    "versions": {"torch": "2.15.0"},
    "date": "2026-11-23",
    "teacher": "vit_random",
    "images": 24,
    "steps": 90,
    "settings": {"image_size": 32},
}
SCORES = {"encoder": NAME, "queries": "kettles", "knn10_percent": 88.56}


def checkpoint(**changes: Any) -> CheckpointConfig:
    """With entries of the provenance changed; None: left out."""
    provenance = {name: fact for name, fact in (PROVENANCE | changes).items() if fact is not None}
    return CheckpointConfig(NAME, "batch", 8, SHA256, provenance)


# ---- what made it


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        (dict.fromkeys(PROVENANCE), "teacher, images, steps, settings, command, versions, date, commit"),
        ({"teacher": None, "settings": {}}, "teacher, settings"),
        ({"commit": None}, "commit"),
        ({"commit": ""}, "commit"),
    ],
)
def test_weights_that_do_not_say_what_made_them_are_refused_with_what_is_missing(changes, missing):
    with pytest.raises(ValueError, match=f"checkpoint: {NAME} .* its provenance lacks {missing}; .*provenance="):
        require_provenance(checkpoint(**changes), allow_dirty=True)


def test_a_recipe_is_known_by_its_commit_or_by_the_version_it_came_with():
    require_provenance(checkpoint(teachers=[{"name": "vit_random", "width": 192}]), allow_dirty=False)
    versions = {"torch": "2.15.0", "xdistill-encoder": "0.2.0"}
    require_provenance(checkpoint(commit=None, versions=versions), allow_dirty=False)


STARTED_FROM = {"name": "kettle", "provenance": {"started_from": "imagenet"}}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"settings": "the paper's"}, f"{NAME}: its provenance: expected facts by name in settings, got \"the paper's"),
        ({"started_from": "kettle"}, f"{NAME}: .* in started_from, got 'kettle'"),
        ({"started_from": {"name": "kettle", "provenance": "mine"}}, "kettle: .* in provenance, got 'mine'"),
        ({"started_from": STARTED_FROM}, "kettle: .* in started_from, got 'imagenet'"),
        ({"teachers": ["a"]}, rf"{NAME}: .* in teachers, got \['a'\]"),
        ({"targets_made": "yesterday"}, f"{NAME}: .* in targets_made, got 'yesterday'"),
        ({"commit": 12345678}, f"{NAME}: its provenance: expected text in commit, got 12345678"),
    ],
)
def test_a_provenance_of_another_form_is_refused_with_the_checkpoint_that_has_it(changes, complaint):
    with pytest.raises(ValueError, match=f"checkpoint: {complaint}"):
        require_provenance(checkpoint(**changes), allow_dirty=True)


def test_uncommitted_code_is_found_in_every_checkpoint_that_led_here():
    first = {"name": "first", "provenance": {"commit": "cd-dirty"}}
    second = {"name": "second", "provenance": {"commit": "ef", "started_from": first}}
    weights = checkpoint(commit="ab-dirty", started_from=second)
    with pytest.raises(ValueError, match=rf"no commit holds: {NAME} \(ab-dirty\), first \(cd-dirty\); .*--allow-dirty"):
        require_provenance(weights, allow_dirty=False)
    require_provenance(weights, allow_dirty=True)
    embedded = checkpoint(commit="ab", targets_made={"command": "xdistill targets", "commit": "cd-dirty"})
    with pytest.raises(ValueError, match=rf"no commit holds: the targets of {NAME} \(cd-dirty\)"):
        require_provenance(embedded, allow_dirty=False)
    require_provenance(checkpoint(commit="ab", targets_made={"commit": None}), allow_dirty=False)


# ---- what it scores


def test_scorecards_come_from_the_files_and_without_any_from_the_provenance(tmp_path):
    recorded = {"encoder": NAME, "queries": "recorded"}
    (tmp_path / "a.json").write_text(json.dumps(SCORES | {"weights_sha256": SHA256}))
    assert read_scorecards([tmp_path / "a.json"], checkpoint(scores=recorded)) == [SCORES | {"weights_sha256": SHA256}]
    assert read_scorecards([], checkpoint(scores=recorded)) == [recorded]
    assert read_scorecards([], checkpoint(scores=[recorded, SCORES])) == [recorded, SCORES]
    assert read_scorecards([], checkpoint()) == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            json.dumps(SCORES | {"encoder": "kettle"}),
            rf"kettles.json is of kettle \(sha256 abababababab\), the checkpoint is {NAME} ",
        ),
        (
            json.dumps(SCORES | {"weights_sha256": "cd" * 32}),
            r"\(sha256 cdcdcdcdcdcd\), the checkpoint is .*\(sha256 abababababab\); score this one",
        ),
        (json.dumps({"queries": "kettles"}), "no entry 'encoder'"),
        (json.dumps([SCORES]), "no entry 'encoder', so this is no output of `xdistill scorecard`"),
        (json.dumps(SCORES | {"knn10_percent": float("nan")}), r"not readable as JSON \(NaN is no score\)"),
        ("88.56 %", "not readable as JSON"),
    ],
)
def test_scores_that_are_not_those_of_the_checkpoint_are_refused(tmp_path, text, complaint):
    (tmp_path / "kettles.json").write_text(text)
    with pytest.raises(ValueError, match=f"scores: .*{complaint}"):
        read_scorecards([tmp_path / "kettles.json"], checkpoint())


def test_a_scorecard_that_is_missing_is_named(tmp_path):
    with pytest.raises(ValueError, match="scores: .*nothing.json: not readable .*No such file"):
        read_scorecards([tmp_path / "nothing.json"], checkpoint())
