import re
from dataclasses import replace
from hashlib import sha256

import pytest

from policy_examples.benchmarking.results import append_rows
from policy_examples.benchmarking.runs import EncoderChoice, Run
from policy_examples.benchmarking.weights import require_weights_of_rows, shorten, weights_here
from tests.policy_examples.benchmarking.rows import PLAIN
from xdistill_encoder import XDistillResNet18, bundled_checkpoints
from xdistill_encoder.checkpoints import DEFAULT_CHECKPOINTS


def save(folder, value: float) -> EncoderChoice:
    """A checkpoint, always of the same name, whose weights depend on the value alone."""
    encoder = XDistillResNet18(norm="group")
    for parameter in encoder.parameters():
        parameter.data.fill_(value)
    encoder.save_pretrained(folder, name="mine")
    return EncoderChoice("xdistill", str(folder), "group")


def test_weights_without_a_name_are_the_bundled_ones_for_the_norm():
    of = {norm: bundled_checkpoints()[name].weights_sha256 for norm, name in DEFAULT_CHECKPOINTS.items()}
    assert weights_here(EncoderChoice("xdistill")) == of["batch"][:12]
    assert weights_here(EncoderChoice("xdistill", norm="batch-trap")) == of["batch"][:12]
    assert weights_here(EncoderChoice("xdistill", norm="group")) == of["group"][:12]


def test_what_no_folder_records_is_not_known(tmp_path):
    choices = [EncoderChoice(name) for name in ("resnet18-scratch", "blind", "dinov2-s", "student", "timm")]
    choices += [EncoderChoice(name, str(tmp_path / "none")) for name in ("xdistill", "student", "timm")]
    assert {weights_here(choice) for choice in [*choices, EncoderChoice("xdistill", "org/name")]} == {""}
    assert shorten(None) == ""


def test_the_file_itself_tells_which_weights_of_timm_a_folder_holds(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"abc")
    assert weights_here(EncoderChoice("timm", str(tmp_path))) == sha256(b"abc").hexdigest()[:12]


def test_a_row_of_weights_that_were_replaced_is_not_taken_for_one_of_those_that_replaced_them(tmp_path):
    choice = save(tmp_path / "encoder", 0.1)
    first = weights_here(choice)
    run, csv = Run("reach", choice, seed=0, preset="cpu"), tmp_path / "results.csv"
    require_weights_of_rows([run], csv)  # there are no rows
    append_rows(csv, [replace(PLAIN, weights=first, command=run.command())])
    require_weights_of_rows([run], csv)
    save(tmp_path / "encoder", 0.2)
    second = weights_here(choice)
    assert len({first, second, ""}) == 3
    message = f"reach, xdistill,checkpoint={tmp_path}/encoder,norm=group, seed 0 in .* sha256 {first}.* now, {second}"
    with pytest.raises(ValueError, match=message):
        require_weights_of_rows([run], csv)
    require_weights_of_rows([replace(run, seed=1)], csv)  # has no row


def test_a_row_that_does_not_say_its_weights_counts(tmp_path):
    run = Run("reach", save(tmp_path / "encoder", 0.1), seed=0, preset="cpu")
    append_rows(tmp_path / "results.csv", [replace(PLAIN, command=run.command())])
    require_weights_of_rows([run], tmp_path / "results.csv")


def test_the_remedy_names_what_a_command_has(tmp_path):
    run = Run("reach", save(tmp_path / "encoder", 0.1), seed=0, preset="cpu")
    append_rows(tmp_path / "results.csv", [replace(PLAIN, weights="0" * 12, command=run.command())])
    with pytest.raises(ValueError, match=re.escape("name another --output, and another --csv, for these")):
        require_weights_of_rows([run], tmp_path / "results.csv")
