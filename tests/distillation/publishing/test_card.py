import json
import re
from dataclasses import replace
from typing import Any

import pytest
from huggingface_hub import ModelCard

from distillation.publishing.card import NOT_RECORDED, check_card, model_card
from xdistill_encoder.checkpoints import CheckpointConfig

PROVENANCE: dict[str, Any] = {
    "command": "xdistill distill --teacher hf/facebook/dinov2-large --images frames",
    "commit": "0123456789ab",
    "versions": {"torch": "2.15.0", "timm": "1.0.31"},
    "date": "2026-11-23",
    "teacher": "facebook/dinov2-large",
    "teachers": [
        {
            "name": "facebook/dinov2-large",
            "revision": "47b73eefe95e",
            "fingerprint": "9f86d0818",
            "width": 1024,
            "pinned": None,
        }
    ],
    "images": 1281167,
    "images_fingerprint": "60303ae22b99",
    "hours": 12.5,
    "device": "NVIDIA H200",
    "processes": 8,
    "steps": 250200,
    "settings": {"image_size": 224, "first_image_size": None, "loss": ["mse", "cosine:0.5"]},
}
CONFIG = CheckpointConfig("resnet18-batch-dinov2-1281k", "batch", 1024, "e3b0c44298fc1c14", PROVENANCE)
SCORECARDS: list[dict[str, Any]] = [
    {
        "encoder": "resnet18-batch-dinov2-1281k",
        "queries": "imagenette_val",
        "image_size_px": 128,
        "knn10_percent": 88.56,
        "linear_probe_percent": 91.2,
        "teacher_cosine": None,
        "command": "xdistill scorecard --encoder runs/first",
        "commit": "fedcba987654",
    },
    {
        "encoder": "resnet18-batch-dinov2-1281k",
        "queries": "caltech101 test",
        "image_size_px": 128,
        "knn10_percent": 48.32,
    },
]


def card(config: CheckpointConfig = CONFIG, **options: Any) -> str:
    defaults: dict[str, Any] = {
        "parameters": 11_176_512,
        "source": "robots/encoder",
        "revision": None,
        "scorecards": [],
        "plots": [],
        "datasets": [],
        "license_id": "other",
        "license_terms": None,
        "limits": None,
    }
    return model_card(config, **(defaults | options))


def provenance(**entries: Any) -> CheckpointConfig:
    return replace(CONFIG, provenance=PROVENANCE | entries)


def metadata(text: str) -> dict[str, Any]:
    return ModelCard(text).data.to_dict()


def cells(text: str, title: str) -> list[str]:
    """The cells beside a title in the tables of a card."""
    (row,) = re.findall(rf"^\| {re.escape(title)} \| (.*) \|$", text, flags=re.MULTILINE)
    return row.split(" | ")


def test_the_metadata_is_what_the_hub_filters_by():
    assert metadata(card(license_id="apache-2.0", datasets=["ILSVRC/imagenet-1k"])) == {
        "license": "apache-2.0",
        "library_name": "xdistill-encoder",
        "pipeline_tag": "image-feature-extraction",
        "tags": ["robotics", "knowledge-distillation", "resnet", "pytorch"],
        "datasets": ["ILSVRC/imagenet-1k"],
    }


@pytest.mark.parametrize("found", [{"hub": "robots/first"}, {}])
def test_the_base_model_is_the_checkpoint_on_the_hub_that_training_started_from(found):
    started = provenance(started_from={"name": "first/own", "weights_sha256": "aa", "provenance": {}} | found)
    assert metadata(card(started)).get("base_model") == found.get("hub")


def test_scores_are_in_the_metadata_as_the_hub_reads_results():
    data = ModelCard(card(scorecards=SCORECARDS)).data
    assert data.model_name == "resnet18-batch-dinov2-1281k"  # type: ignore[attr-defined]
    found = [(r.dataset_type, r.metric_name, r.metric_value) for r in data.eval_results]  # type: ignore[attr-defined]
    assert found == [
        ("imagenette_val", "10-NN accuracy, %", 88.56),
        ("imagenette_val", "linear probe accuracy, %", 91.2),
        ("caltech101-test", "10-NN accuracy, %", 48.32),
    ]


def test_scores_are_a_table_with_a_column_a_scorecard_and_the_commands():
    text = card(scorecards=SCORECARDS)
    assert "|  | imagenette_val | caltech101 test |\n| --- | --- | --- |\n" in text
    assert cells(text, "knn10_percent") == ["88.56", "48.32"]
    assert cells(text, "linear_probe_percent") == ["91.2", ""]
    assert "teacher_cosine" not in text
    assert "xdistill scorecard --encoder runs/first  # commit fedcba987654" in text


def test_a_card_without_scores_says_so():
    assert "## Scores\n\nNot measured.\n" in card()
    assert "model-index" not in metadata(card())


@pytest.mark.parametrize(
    ("title", "fact"),
    [
        ("teacher", "facebook/dinov2-large"),
        ("its revision", "47b73eefe95e"),
        ("its fingerprint", "9f86d0818"),
        ("its width", "1024"),
        ("images", "1,281,167"),
        ("their fingerprint", "60303ae22b99"),
        ("steps", "250,200"),
        ("hours", "12.5"),
        ("device", "NVIDIA H200"),
        ("device-hours", "100.0"),
        ("commit of the recipe", "0123456789ab"),
        ("libraries", "torch 2.15.0, timm 1.0.31"),
        ("sha256 of model.safetensors", "e3b0c44298fc1c14"),
    ],
)
def test_the_card_states_what_made_the_weights(title, fact):
    assert cells(card(), title) == [fact]


def test_device_hours_that_were_recorded_are_stated_once_and_as_they_are():
    stated = card(provenance(device_hours=60.507, processes="8, 4"))  # 12.5 hours, not all of them on 8
    assert cells(stated, "device-hours") == ["60.51"]
    assert "device_hours" not in stated


@pytest.mark.parametrize(
    ("entry", "title"),
    [
        ("teachers", "its revision"),
        ("teachers", "its fingerprint"),
        ("images_fingerprint", "their fingerprint"),
        ("hours", "hours"),
        ("device", "device"),
    ],
)
def test_what_an_older_checkpoint_does_not_know_is_not_recorded(entry, title):
    older = replace(CONFIG, provenance={name: fact for name, fact in PROVENANCE.items() if name != entry})
    assert cells(card(older), title) == [NOT_RECORDED]
    assert cells(card(older), "teacher") == ["facebook/dinov2-large"]


def test_settings_that_a_teacher_does_not_have_are_left_out():
    assert "its pinned" not in card()


def test_each_of_several_teachers_has_its_rows():
    teachers = [{"name": "a", "revision": "1"}, {"name": "b", "revision": "2"}]
    rows = re.findall(
        r"^\| (teacher|its revision) \| (.*) \|$", card(provenance(teachers=teachers)), flags=re.MULTILINE
    )
    assert rows == [("teacher", "a"), ("its revision", "1"), ("teacher", "b"), ("its revision", "2")]


def test_facts_that_the_card_does_not_know_of_are_stated_too():
    text = card(provenance(ema=0.999, cameras=["a|b", {"name": "c", "lens": None}]))
    assert cells(text, "ema") == ["0.999"]
    assert cells(text, "cameras") == ["a\\|b, name c, lens not recorded"]


def test_the_command_and_the_settings_are_as_they_were():
    text = card()
    assert f"```\n{PROVENANCE['command']}\n```" in text
    assert '```\nimage_size: 224\nfirst_image_size: null\nloss: ["mse", "cosine:0.5"]\n```' in text


def test_every_checkpoint_that_training_started_from_has_a_section_the_latest_first():
    first = {"name": "first", "weights_sha256": "aa", "provenance": {"steps": 20, "command": "make first"}}
    made = {"steps": 30, "settings": {"epochs": 7}, "started_from": first}
    second = {"name": "second", "weights_sha256": "bb", "provenance": made}
    text = card(provenance(started_from=second))
    assert re.findall(r"^## Started from (\w+)$", text, flags=re.MULTILINE) == ["second", "first"]
    assert "| steps | 20 |" in text
    assert "```\nmake first\n```" in text
    assert re.search(r"from second.*```\nnot recorded\n```.*```\nepochs: 7\n```.*from first", text, flags=re.DOTALL)


@pytest.mark.parametrize(
    ("norm", "revision", "call"),
    [
        ("batch", None, '("robots/encoder", norm="frozen")'),
        ("batch", "v1", '("robots/encoder", revision="v1", norm="frozen")'),
        ("group", None, '("robots/encoder")'),
    ],
)
def test_three_lines_show_the_use_with_the_norm_for_policies(norm, revision, call):
    text = card(replace(CONFIG, norm=norm), revision=revision)
    assert f"encoder = XDistillResNet18.from_pretrained{call}\n" in text


@pytest.mark.parametrize(
    ("first", "sizes"), [(None, "224 px"), (160, "160 to 224 px"), (224, "224 px"), (256, "224 to 256 px")]
)
def test_the_limits_name_the_sizes_of_the_views(first, sizes):
    config = provenance(settings={"image_size": 224, "first_image_size": first})
    assert f"- Trained on views of {sizes};" in card(config)


def test_limits_and_licence_terms_are_added_in_the_publishers_words():
    text = card(limits="Kitchens only.\n", license_terms="No commercial use.\n")
    assert "\n\nKitchens only.\n\n## Licence terms\n\nNo commercial use.\n" in text
    assert "None were stated. The terms of the images and of the teacher apply." in card()


def test_plots_are_shown():
    assert "\n\n![curve.png](plots/curve.png)\n\n" in card(plots=["plots/curve.png"])


def test_a_data_set_without_an_organisation_is_refused():
    with pytest.raises(ValueError, match=r"datasets 'imagenet' \(expected 'org/name'\)"):
        card(datasets=["imagenet"])


GOOD = {"license": "mit", "library_name": "xdistill-encoder", "tags": ["robotics"]}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"license": None}, r"license None \(expected text\)"),
        ({"license": 2}, r"license 2 \(expected text\)"),
        ({"library_name": ""}, r"library_name '' \(expected text\)"),
        ({"tags": "robotics"}, r"tags 'robotics' \(expected a list of text\)"),
        ({"datasets": [1]}, r"datasets \[1\] \(expected a list of text\)"),
        ({"model-index": [{"name": "x"}]}, r"not readable \(.*model_index"),
    ],
)
def test_a_card_by_hand_with_metadata_that_the_hub_refuses_is_refused(change, complaint):
    check_card(f"---\n{json.dumps(GOOD)}\n---\n# Kettle\n")
    with pytest.raises(ValueError, match=f"card: its metadata block.*{complaint}"):
        check_card(f"---\n{json.dumps(GOOD | change)}\n---\n# Kettle\n")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("# Kettle\n", "expected a metadata block between two lines of --- at its top"),
        ("---\nlicense: [mit\n---\n", r"not readable \(while parsing"),
        ("---\n- mit\n---\n", r"not readable \(repo card metadata block should be a dict\)"),
        ("---\nlicense: mit\n", r"license None \(expected text\)"),
    ],
)
def test_a_card_by_hand_without_readable_metadata_is_refused(text, complaint):
    with pytest.raises(ValueError, match=f"card: .*{complaint}"):
        check_card(text)
