import os
import resource
import signal

import pytest
import torch
from torch import nn

from distillation.training.checkpointing import CHECKPOINT_FILE, load_checkpoint, save_checkpoint

FACTS = {"lr": "0.1", "images": "abc"}


@pytest.fixture
def parts():
    model = nn.Linear(64, 64)
    return {"model": model, "optimizer": torch.optim.AdamW(model.parameters()), "average": None}


def test_what_was_saved_comes_back(tmp_path, parts):
    assert load_checkpoint(tmp_path, FACTS, parts) == 0
    saved = parts["model"].weight.detach().clone()
    save_checkpoint(tmp_path, 7, FACTS, parts)
    nn.init.zeros_(parts["model"].weight)
    assert load_checkpoint(tmp_path, FACTS, parts) == 7
    assert torch.equal(parts["model"].weight, saved)
    assert os.listdir(tmp_path) == [CHECKPOINT_FILE]


@pytest.mark.parametrize("facts", [{"lr": "0.2", "images": "abc"}, {"lr": "0.1"}])
def test_other_settings_are_refused_by_name(tmp_path, parts, facts):
    save_checkpoint(tmp_path, 7, FACTS, parts)
    with pytest.raises(ValueError, match=r"(lr was 0.1, is 0.2|images was abc, is None)\); repeat its settings"):
        load_checkpoint(tmp_path, facts, parts)


def test_a_run_of_before_a_fact_was_kept_goes_on(tmp_path, parts):
    save_checkpoint(tmp_path, 7, FACTS, parts)
    assert load_checkpoint(tmp_path, FACTS | {"normalisation": "0.5"}, parts) == 7
    save_checkpoint(tmp_path, 8, FACTS | {"normalisation": "0.5"}, parts)
    assert load_checkpoint(tmp_path, FACTS, parts) == 8
    with pytest.raises(ValueError, match="normalisation was 0.5, is 0.4"):
        load_checkpoint(tmp_path, FACTS | {"normalisation": "0.4"}, parts)


def test_a_full_disk_is_an_error_and_the_checkpoint_before_is_intact(tmp_path, parts):
    save_checkpoint(tmp_path, 7, FACTS, parts)
    before = (tmp_path / CHECKPOINT_FILE).read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))  # a write beyond fails with "File too large"
    try:
        with pytest.raises(OSError, match=r"step 8 could not be saved in .*saved before is intact, make room"):
            save_checkpoint(tmp_path, 8, FACTS, parts)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert (tmp_path / CHECKPOINT_FILE).read_bytes() == before
    assert os.listdir(tmp_path) == [CHECKPOINT_FILE]


def test_a_folder_that_vanished_is_an_error(tmp_path, parts):
    with pytest.raises(OSError, match=r"step 8 could not be saved in .*No such file"):
        save_checkpoint(tmp_path / "gone", 8, FACTS, parts)


def test_an_encoder_whose_run_cannot_be_resumed_is_not_overwritten(tmp_path, parts):
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder" / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="holds the encoder of a run whose checkpoint.pt is gone"):
        load_checkpoint(tmp_path, FACTS, parts)


@pytest.mark.parametrize("kept", [0, 1000])
def test_a_damaged_checkpoint_is_named(tmp_path, parts, kept):
    save_checkpoint(tmp_path, 7, FACTS, parts)
    path = tmp_path / CHECKPOINT_FILE
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"output: .*checkpoint.pt cannot be read \(.*\); give another --output"):
        load_checkpoint(tmp_path, FACTS, parts)
