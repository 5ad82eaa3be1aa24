import subprocess
import sys
from pathlib import Path

import pytest
import torch

from distillation.space.serve import Config, open_networks

ROOT = Path(__file__).parents[3]
CPU = torch.device("cpu")


def test_the_page_offers_the_default_checkpoint_and_an_untrained_one():
    bundled, untrained = open_networks(Config(image_size=64), CPU)
    assert bundled.name.startswith("resnet18-bn-")
    assert untrained.name == "random"
    assert not bundled.pooled.training


def test_two_encoders_of_one_name_are_refused():
    with pytest.raises(ValueError, match="encoders: expected each once, got random, random"):
        open_networks(Config(encoders=("random", "random"), image_size=64), CPU)


@pytest.mark.parametrize("settings", [{"image_size": 16}, {"most": 0}])
def test_a_page_without_images_or_positions_is_refused(settings):
    with pytest.raises(ValueError, match=r"expected an image_size of 32 px or more and most of 1 or more, got "):
        Config(**settings)


def test_help_needs_no_gradio():
    code = (
        "import sys; sys.modules['gradio'] = None; sys.argv = ['xdistill', 'space', '--help']; "
        "from xdistill_encoder.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--image-size" in done.stdout


def test_the_folder_of_a_hub_space_starts_the_same_page():
    upload = ROOT / "distillation" / "space" / "upload"
    assert '["xdistill", "space"]' in (upload / "app.py").read_text()
    assert (upload / "requirements.txt").read_text().strip() == "xdistill-encoder[space]"
    assert "app_file: app.py" in (upload / "README.md").read_text()
