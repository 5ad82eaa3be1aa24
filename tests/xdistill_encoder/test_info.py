import re
import sys
from pathlib import Path

import pytest
import torch

from xdistill_encoder import XDistillResNet18, __version__, bundled_checkpoints, info

RESNET18_WITHOUT_CLASSIFIER = (
    11_689_512 - 513_000
)  # torchvision's figure for resnet18; 512 x 1000 weights + 1000 biases


@pytest.fixture
def show(monkeypatch, capsys):
    """What `xdistill info` prints for arguments."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["xdistill info", *arguments])
        info.main()
        return capsys.readouterr().out

    return run


@pytest.fixture
def folder(random_encoder, tmp_path):
    provenance = {"teacher": "ViT-Ti/16", "scores": {"10-NN": 84.5}, "steps": 3}
    return random_encoder().save_pretrained(tmp_path / "encoder", name="kettle", provenance=provenance, half=True)


def test_a_checkpoint_is_shown_with_parameters_provenance_and_scores(show, folder):
    shown = show(str(folder), "--image-size", "32", "--device", "cpu")
    assert f"{folder} (kettle)\n" in shown
    assert re.search(r"norm +batch \(loaded as frozen\)\n", shown)
    # trunk, then the teacher head: 512 x 8 weights + 8 biases
    assert f"{RESNET18_WITHOUT_CLASSIFIER:,} in the trunk, {512 * 8 + 8:,} in the teacher head" in shown
    assert re.search(r"teacher +ViT-Ti/16\n", shown)
    assert re.search(r'scores +\{"10-NN": 84.5\}\n', shown)
    assert re.search(r"steps +3\n", shown)


def test_each_scorecard_has_a_line_without_what_was_not_measured(show, random_encoder, tmp_path):
    scores = [
        {"encoder": "kettle", "queries": "val", "image_size_px": 128, "knn10_percent": 88.1},
        {"queries": "test", "knn10_percent": None, "command": "xdistill"},
    ]
    folder = random_encoder().save_pretrained(tmp_path / "encoder", provenance={"scores": scores})
    shown = show(str(folder), "--image-size", "32", "--device", "cpu")
    assert re.findall(r"scores +(.*)\n", shown) == ["val, 128 px: knn10_percent 88.1", "test: none"]


def test_latency_is_measured_for_one_image_and_for_a_batch(show, folder):
    shown = show(str(folder), "--image-size", "32", "--device", "cpu")
    one, many = (float(ms) for ms in re.findall(r"batch (?:1|32) +([\d.]+) ms a forward pass at 32 px\n", shown))
    assert 0 < one < many


def test_the_header_names_the_versions_that_the_latency_belongs_to(show, folder):
    header = show(str(folder), "--image-size", "32", "--device", "cpu").splitlines()[0]
    assert header.startswith(f"xdistill-encoder {__version__}, torch {torch.__version__}, Python ")
    assert f"device cpu, {torch.get_num_threads()} threads" in header


def test_without_a_name_every_bundled_checkpoint_is_shown(show):
    shown = show("--image-size", "32", "--device", "cpu")
    assert bundled_checkpoints()
    for name, config in bundled_checkpoints().items():
        assert f"{name}" in shown
        assert config.weights_sha256[:16] in shown
        (card,) = re.findall(rf"card +(/.*/{name}/README.md)\n", shown)
        assert Path(card).is_file()


def test_of_the_checkpoint_it_started_from_only_name_and_checksum_are_shown(show, folder, tmp_path):
    XDistillResNet18.from_pretrained(folder).save_pretrained(tmp_path / "again")
    shown = show(str(tmp_path / "again"), "--image-size", "32", "--device", "cpu")
    assert re.search(r'started_from +\{"name": "kettle", "weights_sha256": "[0-9a-f]{64}"\}\n', shown)
    assert "ViT-Ti/16" not in shown


def test_latency_is_the_median_of_at_least_three_passes():
    encoder, passes = XDistillResNet18("batch").eval(), []
    encoder.register_forward_hook(lambda *_: passes.append(1))
    assert info.latency_ms(encoder, 32, 1, torch.device("cpu"), budget_ms=0) > 0
    assert len(passes) == info.WARM_UP + 3


def test_an_unknown_checkpoint_ends_in_one_line(show):
    with pytest.raises(SystemExit, match=r"^xdistill info: no checkpoint named 'kettle': bundled are"):
        show("kettle")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--image-size", "31"), "expected a whole number of pixels from 32 up, got '31'"),
        (("--image-size", "big"), "expected a whole number of pixels from 32 up, got 'big'"),
        (("--device", "abacus"), "'abacus' is no device of this machine"),
        (("--device", "cuda:99"), "'cuda:99' is no device of this machine"),
    ],
)
def test_a_wrong_option_is_a_usage_error(show, capsys, arguments, message):
    with pytest.raises(SystemExit) as caught:
        show(*arguments)
    assert caught.value.code == 2  # argparse's
    assert message in capsys.readouterr().err
