import logging
import time

import pytest
import torch
from safetensors.torch import save, save_file

from policy_examples.encoders import load_encoder
from policy_examples.encoders.weights import Weights, find_weights
from tests.xdistill_encoder.hub_server import serving

PUBLISHED = Weights("dinov2-s", "facebook/dinov2-small")
TENSORS = {"x": torch.arange(3.0)}


@pytest.fixture
def no_waiting(monkeypatch):
    """The client's pauses between its attempts take no time; the attempts are made."""
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)


@pytest.mark.parametrize(
    ("name", "repository"),
    [
        ("resnet18-imagenet", "timm/resnet18.tv_in1k"),
        ("dinov2-s", "facebook/dinov2-small"),
        ("depth-anything-s", "depth-anything/Depth-Anything-V2-Small-hf"),
        ("theia-s", "theaiinstitute/theia-small-patch16-224-cdiv"),
    ],
)
def test_without_a_connection_one_sentence_names_the_weights_and_how_to_get_them(name, repository, no_waiting):
    with pytest.raises(ValueError, match="cannot be downloaded") as caught:
        load_encoder(name)
    message = str(caught.value)
    assert message.startswith(
        f"checkpoint: the weights of {name}, {repository} on the Hugging Face Hub, cannot be down"
    )
    assert "(the Hub cannot be reached, and its local cache lacks them)" in message
    assert f"`hf download {repository} model.safetensors --local-dir FOLDER`" in message
    assert message.endswith("checkpoint=FOLDER loads them anywhere.")
    assert "\n" not in message


def test_weights_come_from_the_hub_with_the_commit_that_they_are_of():
    with serving() as hub:
        commit = hub.add("facebook/dinov2-small", {"model.safetensors": save(TENSORS)})
        hub.repositories["facebook/dinov2-small"].tags["v1"] = commit
        newer = hub.repositories["facebook/dinov2-small"].commit({"model.safetensors": save({"x": torch.zeros(3)})})
        tensors, origin = find_weights(PUBLISHED, None)
        assert origin == f"facebook/dinov2-small@{newer}"
        assert torch.equal(tensors["x"], torch.zeros(3))
        tensors, origin = find_weights(PUBLISHED, "facebook/dinov2-small@v1")
        assert origin == f"facebook/dinov2-small@{commit}"
        assert torch.equal(tensors["x"], torch.arange(3.0))


@pytest.mark.parametrize(
    ("checkpoint", "message"),
    [
        (
            "robots/none",
            r"dinov2-s, robots/none on .* cannot be downloaded \(there is no such repository, or it is private\)",
        ),
        ("robots/gated", "access is gated: ask for it there"),
        ("robots/empty", "it holds no model.safetensors"),
        ("robots/empty@v2", "it has no such revision"),
    ],
)
def test_a_repository_that_cannot_give_weights_is_refused_with_the_reason(checkpoint, message):
    with serving() as hub:
        hub.add("robots/empty", {"config.json": b"{}"})
        hub.add("robots/gated", {"model.safetensors": save(TENSORS)}, access="gated")
        with pytest.raises(ValueError, match=message):
            find_weights(PUBLISHED, checkpoint)


def test_a_folder_is_read_without_the_hub(tmp_path):
    save_file(TENSORS, tmp_path / "model.safetensors")
    tensors, origin = find_weights(PUBLISHED, str(tmp_path))
    assert torch.equal(tensors["x"], TENSORS["x"])
    assert origin == str(tmp_path)


def test_a_folder_without_weights_or_with_damaged_ones_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"holds no model\.safetensors; where there is a connection, `hf download"):
        find_weights(PUBLISHED, str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"short")
    with pytest.raises(ValueError, match=r"is not readable as safetensors \(.*\); where there is a connection"):
        find_weights(PUBLISHED, str(tmp_path))


def test_what_is_neither_a_folder_nor_a_repository_is_refused():
    with pytest.raises(ValueError, match=r"expected a folder or 'org/name' on the Hub, got './nowhere/at/all'"):
        find_weights(PUBLISHED, "./nowhere/at/all")


def test_a_transfer_that_hf_xet_breaks_off_is_told(monkeypatch):
    """hf_xet raises a bare RuntimeError, which a Hub on this machine without Xet cannot make it do."""

    def break_off(*_, **__):
        raise RuntimeError("Data processing error:\n  CAS service error")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", break_off)
    with pytest.raises(
        ValueError,
        match=r"org/name on the Hugging Face Hub, cannot be downloaded .Data processing error: CAS service error",
    ):
        find_weights(Weights("dinov2-s", "org/name"), None)
