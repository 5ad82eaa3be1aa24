import pytest
import torch
from torch import nn

from policy_examples.training.checkpointing import load_checkpoint, require_unfinished, save_checkpoint

SETTINGS = {"lr": 0.1}


def test_a_checkpoint_fills_the_parts_and_tells_its_step(tmp_path):
    saved, empty = nn.Linear(2, 2), nn.Linear(2, 2)
    save_checkpoint(tmp_path / "checkpoint.pt", SETTINGS, 7, {"policy": saved}, [1.5])
    assert load_checkpoint(tmp_path / "checkpoint.pt", SETTINGS, {"policy": empty}) == (7, [1.5])
    assert torch.equal(empty.weight, saved.weight)


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch):
    part = nn.Linear(2, 2)
    save_checkpoint(tmp_path / "checkpoint.pt", SETTINGS, 7, {"policy": part}, None)

    def full_disk(state, path):
        path.write_bytes(b"a part")
        raise RuntimeError("unexpected pos 64 vs 0")  # as torch puts it

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(
        OSError, match="step 8 could not be saved in .*unexpected pos.* make room and repeat the command"
    ):
        save_checkpoint(tmp_path / "checkpoint.pt", SETTINGS, 8, {"policy": part}, None)
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.pt"]  # the part does not keep the disk full
    assert load_checkpoint(tmp_path / "checkpoint.pt", SETTINGS, {"policy": part}) == (7, None)


def test_a_folder_with_weights_is_no_place_for_a_run(tmp_path):
    require_unfinished(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match="holds a policy's or an encoder's weights; name a folder of the run's own"):
        require_unfinished(tmp_path)
