import pytest
import torch

from policy_examples.encoders import load_encoder
from xdistill_encoder import XDistillResNet18


def test_the_scratch_encoder_has_group_norm_unless_another_is_asked_for():
    assert load_encoder("resnet18-scratch", None, None).norm == "group"
    assert load_encoder("resnet18-scratch", None, "frozen").norm == "frozen"


def test_a_checkpoint_folder_loads_with_frozen_statistics_and_without_the_teacher_head(tmp_path):
    saved = XDistillResNet18(norm="batch", teacher_features=16)
    saved.save_pretrained(tmp_path / "encoder")
    loaded = load_encoder("xdistill", str(tmp_path / "encoder"), None)
    assert loaded.norm == "frozen"
    assert not any("teacher_head" in name for name in loaded.state_dict())
    assert torch.equal(loaded.trunk.conv1.weight, saved.trunk.conv1.weight)


def test_batch_norm_with_live_statistics_is_refused_with_the_reason():
    with pytest.raises(ValueError, match=r"got 'batch'. The averaged copy .* wrong ones"):
        load_encoder("xdistill", None, "batch")  # type: ignore[arg-type]


def test_a_checkpoint_for_the_scratch_encoder_is_refused():
    with pytest.raises(ValueError, match="starts from random weights, got 'folder'"):
        load_encoder("resnet18-scratch", "folder", None)


def test_an_unknown_encoder_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="accepted are 'xdistill' and 'resnet18-scratch', got 'r3m'"):
        load_encoder("r3m", None, None)  # type: ignore[arg-type]
