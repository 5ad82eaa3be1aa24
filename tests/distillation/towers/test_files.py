import json
import time
from pathlib import Path

import pytest

from distillation.towers.files import find_teacher
from tests.xdistill_encoder.hub_server import serving

CONFIG = {"architecture": "vit_tiny_patch16_224", "num_classes": 0}


@pytest.fixture
def folder(tmp_path) -> Path:
    """What can be found; whether it can be loaded is the business of others."""
    folder = tmp_path / "vit_random"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "model.safetensors").touch()
    return folder


# ---- a folder


def test_a_folder_is_found_by_its_path_and_called_by_its_name(folder, monkeypatch):
    for spec in (str(folder), f"local-dir:{folder}", f"{folder}/"):
        assert find_teacher(spec) == (folder, "vit_random", None, CONFIG)
    monkeypatch.chdir(folder)
    assert find_teacher(".").name == "vit_random"
    monkeypatch.setenv("HOME", str(folder.parent))
    assert find_teacher("~/vit_random").folder == folder


def test_weights_may_come_in_shards(folder):
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    assert find_teacher(str(folder)).name == "vit_random"


def test_pickled_weights_are_named_and_never_opened(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    (folder / "notes.txt").touch()
    complaint = r"has no model.safetensors \(of other weights: pytorch_model.bin\); pickled weights are never opened"
    with pytest.raises(ValueError, match=complaint):
        find_teacher(str(folder))


def test_a_folder_whose_configuration_is_missing_or_damaged_is_refused(folder):
    (folder / "config.json").write_text('{"architecture": "vit')
    with pytest.raises(ValueError, match=rf"teacher '{folder}': .*config.json is not readable as JSON \(.*copy"):
        find_teacher(str(folder))
    (folder / "config.json").unlink()
    with pytest.raises(ValueError, match=rf"{folder} has no config.json; expected 'timm/<model>', 'hf/<org>/<name>'"):
        find_teacher(str(folder))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("timm/vit_gigantic", "timm knows no such model; close: vit_gigantic_"),
        ("timm/vit_small_patch14_dinov2.v9", "timm knows no such weights; it has vit_small_patch14_dinov2.lvd142m"),
        ("timm/test_vit4", "timm publishes no weights of it; give a folder that has them"),
        ("hf/dinov2-large", "expected 'timm/<model>', 'hf/<org>/<name>'"),
        ("hf/facebook/dinov2/large", "expected 'timm/<model>', 'hf/<org>/<name>'"),
        ("local-dir:/nowhere", "there is no folder /nowhere"),
        ("resnet50", "expected 'timm/<model>', 'hf/<org>/<name>', either with '@<revision>', or a folder"),
    ],
)
def test_an_unusable_spec_is_refused_with_what_is_accepted(spec, message):
    with pytest.raises(ValueError, match=f"teacher '{spec}': .*{message}"):
        find_teacher(spec)


# ---- the Hub


@pytest.fixture
def hub():
    """A Hub that answers at HF_ENDPOINT until the test ends."""
    with serving() as server:
        yield server


def test_of_a_repository_come_the_files_that_are_needed_at_their_commit(hub):
    files = {"config.json": json.dumps(CONFIG).encode(), "model.safetensors": b"", "preprocessor_config.json": b"{}"}
    commit = hub.add("robots/vit", files | {"pytorch_model.bin": b"pickle", "README.md": b"a card"})
    found = find_teacher("hf/robots/vit")
    assert (found.name, found.revision, found.config) == ("vit", commit, CONFIG)
    assert {path.name for path in found.folder.iterdir()} == files.keys()


def test_an_unknown_or_gated_repository_is_refused_with_what_works_offline(hub):
    with pytest.raises(ValueError, match="the Hub has no repository robots/none .*a folder .* works offline"):
        find_teacher("hf/robots/none")
    hub.add("robots/gated", {}, access="gated")
    with pytest.raises(OSError, match="access to robots/gated is gated; ask for it on the Hub"):
        find_teacher("hf/robots/gated")
    hub.add("robots/known", {})
    with pytest.raises(ValueError, match="robots/known has no revision 'v2'"):
        find_teacher("hf/robots/known@v2")
    with pytest.raises(ValueError, match="'robots/en--coder' is no name that the Hub accepts"):
        find_teacher("hf/robots/en--coder")


def test_an_unreachable_hub_is_an_error_that_names_the_spec_and_what_works_offline(monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # between the attempts
    with pytest.raises(
        OSError, match=r"teacher 'hf/robots/far': .* could not be downloaded .*a folder .* works offline"
    ):
        find_teacher("hf/robots/far")


def test_a_transfer_that_hf_xet_breaks_off_is_told(monkeypatch):
    """hf_xet raises a bare RuntimeError, which a Hub on this machine without Xet cannot make it do."""

    def break_off(*_, **__):
        raise RuntimeError("Data processing error:\n  CAS service error")

    monkeypatch.setattr("huggingface_hub.snapshot_download", break_off)
    with pytest.raises(
        OSError, match=r"org/name could not be downloaded .Data processing error: CAS service error.; a folder"
    ):
        find_teacher("hf/org/name")
