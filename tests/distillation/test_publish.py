import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from distillation.publish import Config, main, publish
from tests.xdistill_encoder.hub_server import READ_TOKEN, WRITE_TOKEN, HubServer, serving
from xdistill_encoder import CheckpointError, XDistillResNet18
from xdistill_encoder.checkpoints import DEFAULT_CHECKPOINTS, WEIGHTS_FOLDER

# huggingface_hub 2.4 hands files to its HTTP client in a deprecated way
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload raw bytes:DeprecationWarning")

REPOSITORY = "robots/encoder"
NAME = "resnet18-batch-vit_random-24"
PROVENANCE: dict[str, Any] = {
    "command": "xdistill distill --teacher vit_random --images train.parquet",
    "commit": "0123456789ab",
    "versions": {"torch": "2.15.0"},
    "date": "2026-11-23",
    "teacher": "vit_random",
    "images": 24,
    "steps": 90,
    "settings": {"image_size": 32, "first_image_size": None},
}
SCORES = {"encoder": NAME, "queries": "kettles", "knn10_percent": 88.56}
TERMS = "Research only."


@pytest.fixture(scope="session")
def weights(random_encoder, tmp_path_factory) -> Path:
    """An exported encoder."""
    folder = tmp_path_factory.mktemp("exported") / "encoder"
    return random_encoder().save_pretrained(folder, name=NAME, provenance=PROVENANCE, half=True)


@pytest.fixture
def run(weights, tmp_path) -> Callable[..., Path]:
    """Entries of the provenance to change (None: to leave out) -> folder of a run that exported such an encoder."""

    def make(**changes: Any) -> Path:
        shutil.copytree(weights, tmp_path / "run" / "encoder", dirs_exist_ok=True)
        path = tmp_path / "run" / "encoder" / "config.json"
        config = json.loads(path.read_text())
        provenance = config["provenance"] | changes
        config["provenance"] = {name: fact for name, fact in provenance.items() if fact is not None}
        path.write_text(json.dumps(config))
        return tmp_path / "run"

    return make


@pytest.fixture
def scores(tmp_path) -> Path:
    """A scorecard of the encoder."""
    path = tmp_path / "kettles.json"
    path.write_text(json.dumps(SCORES))
    return path


@pytest.fixture
def hub(monkeypatch):
    """A Hub that the owner of its repositories is signed in to."""
    monkeypatch.setenv("HF_TOKEN", WRITE_TOKEN)
    with serving() as server:
        yield server


@pytest.fixture
def uploaded(run, scores) -> Callable[..., str]:
    """Publish the run to REPOSITORY with what an upload needs."""

    def upload(**options: Any) -> str:
        defaults = {"checkpoint": run(), "repo": REPOSITORY, "scores": (scores,), "license_terms": TERMS}
        return publish(Config(**(defaults | options)))

    return upload


@pytest.fixture
def cache(tmp_path) -> Path:
    return tmp_path / "cache"


def files(hub: HubServer, revision: str = "main") -> dict[str, bytes]:
    found = hub.repositories[REPOSITORY].files(revision)
    assert found is not None
    return {path: content for path, content in found[1].items() if path != ".gitattributes"}


def same_features(a: XDistillResNet18, b: XDistillResNet18, images: torch.Tensor) -> bool:
    return torch.equal(a(images), b(images)) and torch.equal(a.teacher_embedding(images), b.teacher_embedding(images))


# ---- the folder


def test_the_folder_loads_as_the_checkpoint_with_its_weights_byte_by_byte(run, weights, scores, images, tmp_path):
    folder = tmp_path / "hub"
    folder.mkdir()
    assert publish(Config(run(), output=folder, scores=(scores,))) == str(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert (folder / "model.safetensors").read_bytes() == (weights / "model.safetensors").read_bytes()
    encoder = XDistillResNet18.from_pretrained(folder)
    assert same_features(encoder, XDistillResNet18.from_pretrained(weights), images)
    assert encoder.checkpoint
    assert encoder.checkpoint.provenance == PROVENANCE | {"scores": [SCORES]}


def test_an_exported_folder_gives_what_its_run_gives(run, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    publish(Config(run(), output=first))
    publish(Config(run() / "encoder", output=second))
    publish(Config(run() / "encoder", output=second))  # the same again
    assert {p.name: p.read_bytes() for p in first.iterdir()} == {p.name: p.read_bytes() for p in second.iterdir()}


def test_without_an_output_the_folder_is_named_after_the_weights(run, tmp_path, monkeypatch):
    checkpoint = run()
    monkeypatch.chdir(tmp_path)
    assert publish(Config(checkpoint)) == f"runs/publish/{NAME}"
    assert (tmp_path / "runs" / "publish" / NAME / "README.md").is_file()


def test_a_dry_run_writes_the_folder_and_asks_the_hub_nothing(hub, uploaded, tmp_path):
    folder = tmp_path / "hub"
    uploaded(dry_run=True, output=folder)
    assert f'from_pretrained("{REPOSITORY}"' in (folder / "README.md").read_text()
    assert hub.requests == []


def test_the_bundled_checkpoint_can_be_published_and_says_what_it_does_not_know(tmp_path):
    bundled = WEIGHTS_FOLDER / DEFAULT_CHECKPOINTS["batch"]
    publish(Config(bundled, output=tmp_path / "made"))
    card = (tmp_path / "made" / "README.md").read_text()
    assert "| its revision | not recorded |" in card
    assert "| knn10_percent | 91.72 | 59.6 |" in card
    publish(Config(bundled, output=tmp_path / "by hand", card=bundled / "README.md"))
    assert (tmp_path / "by hand" / "README.md").read_bytes() == (bundled / "README.md").read_bytes()


def test_plots_are_copied_and_shown(run, tmp_path):
    (tmp_path / "curve.png").write_bytes(b"a curve")
    publish(Config(run(), output=tmp_path / "hub", plots=(tmp_path / "curve.png",)))
    assert (tmp_path / "hub" / "plots" / "curve.png").read_bytes() == b"a curve"
    assert "![curve.png](plots/curve.png)" in (tmp_path / "hub" / "README.md").read_text()


def test_licence_terms_and_limits_are_words_or_text_files(run, tmp_path):
    (tmp_path / "terms.md").write_text("Ask the *cook*.")
    terms = str(tmp_path / "terms.md")
    publish(Config(run(), output=tmp_path / "hub", license_terms=terms, limits="Kitchens only."))
    card = (tmp_path / "hub" / "README.md").read_text()
    assert "## Licence terms\n\nAsk the *cook*.\n" in card
    assert "\n\nKitchens only.\n\n" in card


# ---- what is refused


def test_a_student_of_another_backbone_is_refused(run):
    path = run() / "encoder" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"architecture": "resnet50"}))
    with pytest.raises(CheckpointError, match="architecture: expected 'resnet18', got 'resnet50'"):
        publish(Config(path.parent))


def test_damaged_weights_are_refused(run, tmp_path):
    path = run() / "encoder" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="truncated, damaged or of another checkpoint"):
        publish(Config(tmp_path / "run", output=tmp_path / "hub"))
    assert not (tmp_path / "hub").exists()


def test_a_recipe_outside_a_checkout_is_known_by_its_version(run, tmp_path):
    checkpoint = run(commit=None, versions={"torch": "2.15.0", "xdistill-encoder": "0.2.0"})
    publish(Config(checkpoint, output=tmp_path / "hub"))
    card = (tmp_path / "hub" / "README.md").read_text()
    assert "| commit of the recipe | not recorded |" in card
    assert "xdistill-encoder 0.2.0" in card


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"commit": "0123456789ab-dirty"}, rf"{NAME} \(0123456789ab-dirty\)"),
        ({"started_from": {"name": "kettle", "provenance": {"commit": "ab-dirty"}}}, r"kettle \(ab-dirty\)"),
    ],
)
def test_weights_of_uncommitted_code_are_refused_unless_that_is_allowed(run, tmp_path, changes, named):
    checkpoint = run(**changes)
    with pytest.raises(ValueError, match=f"made by code that no commit holds: {named}; .*--allow-dirty"):
        publish(Config(checkpoint, output=tmp_path / "hub"))
    publish(Config(checkpoint, output=tmp_path / "hub", allow_dirty=True))
    assert "-dirty |" in (tmp_path / "hub" / "README.md").read_text()


def test_files_that_cannot_be_used_are_refused_with_the_setting_that_names_them(run, scores, tmp_path):
    settings: dict[str, dict[str, Any]] = {
        "plots": {"plots": (scores,)},
        "scores": {"scores": (tmp_path / "nothing.json",)},
        "license_terms": {"license_terms": "terms.txt"},
        "limits": {"limits": " "},
        "card": {"card": tmp_path / "nothing.md"},
    }
    for name, setting in settings.items():
        with pytest.raises(ValueError, match=f"^{name}: "):
            publish(Config(run(), **setting))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"repo": "encoder"}, "repo: expected 'org/name', got 'encoder'"),
        ({"tag": "v1"}, "tag: is about a repository on the Hub, and --repo names none"),
        ({"private": True}, "private: is about a repository"),
        (
            {"card": Path("a.md"), "limits": "b", "datasets": ("c/d",)},
            "card: a.md is taken as it is; write limits, datasets",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(options, complaint):
    with pytest.raises(ValueError, match=complaint):
        Config(Path("run"), **options)


# ---- the upload


def test_what_was_published_loads_from_its_commit_with_equal_features(hub, uploaded, weights, images, cache):
    url = uploaded()
    commit = url.rpartition("/")[2]
    assert url == f"http://127.0.0.1:{hub.port}/{REPOSITORY}/commit/{commit}"
    loaded = XDistillResNet18.from_pretrained(REPOSITORY, revision=commit, cache_dir=cache)
    assert same_features(loaded, XDistillResNet18.from_pretrained(weights), images)
    assert loaded.checkpoint
    assert loaded.checkpoint.provenance["scores"] == [SCORES]


def test_the_code_of_the_card_runs_as_it_is_pasted(hub, uploaded, weights):
    uploaded(tag="v1", repo="robots/three-lines")
    found = hub.repositories["robots/three-lines"].files("v1")
    assert found is not None
    (lines,) = re.findall(r"```python\n(.*?)```", found[1]["README.md"].decode(), flags=re.DOTALL)
    names = {}
    exec(lines, names)
    expected = XDistillResNet18.from_pretrained(weights, norm="frozen")(names["images"])
    assert torch.equal(names["features"], expected)


def test_an_upload_is_one_commit_of_all_files(hub, uploaded, tmp_path):
    (tmp_path / "curve.png").write_bytes(b"a curve")
    uploaded(plots=(tmp_path / "curve.png",), output=tmp_path / "hub")
    repository = hub.repositories[REPOSITORY]
    assert len(repository.commits) == 2  # the first is the Hub's own
    assert repository.access == "public"
    assert sorted(files(hub)) == ["README.md", "config.json", "model.safetensors", "plots/curve.png"]
    assert {path: (tmp_path / "hub" / path).read_bytes() for path in files(hub)} == files(hub)


def test_the_upload_is_listed_before_it_happens(hub, uploaded, capsys):
    hub.add(REPOSITORY, {"README.md": b"our robots", "robot.txt": b"kettle"})
    uploaded(overwrite=True)
    printed = capsys.readouterr().out
    assert re.search(r"^robots/encoder at main$", printed, flags=re.MULTILINE)
    assert re.findall(r"^  (\w+) +(\S+)", printed, flags=re.MULTILINE) == [
        ("replaces", "README.md"),
        ("adds", "config.json"),
        ("adds", "model.safetensors"),
        ("keeps", "robot.txt"),
    ]


def test_files_of_the_repository_are_not_replaced_without_being_told_to(hub, uploaded):
    before = {"README.md": b"our robots", "config.json": b"{}", "robot.txt": b"kettle"}
    hub.add(REPOSITORY, before)
    with pytest.raises(
        ValueError, match=r"robots/encoder holds other versions of README.md, config.json; .*--overwrite"
    ):
        uploaded()
    assert files(hub) == before
    uploaded(overwrite=True)
    assert files(hub)["robot.txt"] == b"kettle"
    assert NAME.encode() in files(hub)["README.md"]


def test_the_same_again_adds_no_commit_and_sets_a_tag_that_is_missing(hub, uploaded, capsys):
    url = uploaded(tag="v1")
    repository = hub.repositories[REPOSITORY]
    commits = dict(repository.commits)
    repository.tags.clear()  # as if the connection had broken before it was set
    capsys.readouterr()
    assert uploaded(tag="v1") == url
    assert repository.commits == commits
    assert repository.tags == {"v1": repository.branches["main"]}
    assert re.findall(r"^  (\w+) ", capsys.readouterr().out, flags=re.MULTILINE) == ["same"] * 3


def test_a_tag_names_the_upload_and_is_not_moved(hub, uploaded, weights, images, cache, run):
    uploaded(tag="v1")
    loaded = XDistillResNet18.from_pretrained(REPOSITORY, revision="v1", cache_dir=cache)
    assert same_features(loaded, XDistillResNet18.from_pretrained(weights), images)
    assert 'revision="v1"' in files(hub, "v1")["README.md"].decode()
    before = files(hub)
    with pytest.raises(ValueError, match="tag: robots/encoder has a revision 'v1', and tags stay where they are"):
        uploaded(tag="v1", overwrite=True, license_terms="Other terms.")
    assert files(hub) == before


def test_a_branch_is_made_and_main_stays(hub, uploaded):
    hub.add(REPOSITORY, {"README.md": b"our robots"})
    uploaded(revision="wide", overwrite=True)
    uploaded(revision="wide")  # the same again
    assert files(hub) == {"README.md": b"our robots"}
    assert NAME.encode() in files(hub, "wide")["README.md"]


def test_a_private_upload_is_seen_by_its_owner_alone(hub, uploaded):
    uploaded(private=True)
    uploaded(private=True)
    assert hub.repositories[REPOSITORY].access == "private"


def test_what_was_to_be_private_does_not_go_to_a_public_repository(hub, uploaded):
    hub.add(REPOSITORY, {})
    with pytest.raises(ValueError, match="private: robots/encoder exists and everybody sees it"):
        uploaded(private=True)
    assert files(hub) == {}


def test_an_upload_says_what_was_measured_and_what_is_allowed(hub, uploaded):
    with pytest.raises(ValueError, match=r"scores: none; .*--allow-unscored"):
        uploaded(scores=())
    with pytest.raises(ValueError, match="license_terms: an upload says what teacher and images allow"):
        uploaded(license_terms=None)
    assert hub.requests == []
    uploaded(scores=(), allow_unscored=True)
    assert b"Not measured." in files(hub)["README.md"]


def test_a_card_by_hand_is_uploaded_as_it_is(hub, uploaded, tmp_path):
    card = b"---\nlicense: mit\nlibrary_name: xdistill-encoder\n---\n# Kettle\n"
    (tmp_path / "card.md").write_bytes(card)
    (tmp_path / "curve.png").write_bytes(b"a curve")
    uploaded(card=tmp_path / "card.md", plots=(tmp_path / "curve.png",), license_terms=None)
    assert files(hub)["README.md"] == card
    assert files(hub)["plots/curve.png"] == b"a curve"


def test_metadata_that_only_the_hub_knows_to_be_wrong_is_its_error(hub, uploaded, tmp_path):
    (tmp_path / "card.md").write_text("---\nlicense: kettle\nlibrary_name: xdistill-encoder\n---\n")
    with pytest.raises(ValueError, match='Invalid metadata in README.md.*\n.*"license" must be one of'):
        uploaded(card=tmp_path / "card.md", license_terms=None)


# ---- an upload that fails


def test_without_a_token_nothing_is_asked_of_the_hub(hub, uploaded, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(
        ValueError, match="repo: an upload needs a token with write access: `hf auth login`, or set HF_TOKEN"
    ):
        uploaded()
    assert hub.requests == []


@pytest.mark.parametrize(("token", "status"), [(READ_TOKEN, "403"), ("hf_stranger", "401")])
def test_a_token_without_the_right_to_write_is_refused_with_advice(hub, uploaded, monkeypatch, token, status):
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(ValueError, match=rf"robots/encoder: the upload failed \(.*{status}.*token with write access"):
        uploaded()
    assert hub.repositories == {}


# ---- the command


def test_the_command_uploads_and_prints_how_to_load_it(hub, run, scores, monkeypatch, capsys, cache):
    command = ["xdistill publish", "--checkpoint", str(run()), "--repo", REPOSITORY, "--scores", str(scores)]
    monkeypatch.setattr(sys, "argv", [*command, "--license-terms", TERMS])
    main()
    *_, url, load = capsys.readouterr().out.splitlines()
    assert load == f'XDistillResNet18.from_pretrained("{REPOSITORY}", revision="{url.rpartition("/")[2]}")'


def test_the_command_ends_with_one_line_where_something_is_wrong(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["xdistill publish", "--checkpoint", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"^xdistill publish: checkpoint: no config.json in"):
        main()
