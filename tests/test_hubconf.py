import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import hubconf
from xdistill_encoder import XDistillResNet18, bundled_checkpoints

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("norm", ["frozen", "group"])
def test_torch_hub_loads_the_bundled_encoder_from_another_folder(norm, tmp_path):
    program = f"""
import json, torch
encoder = torch.hub.load({str(ROOT)!r}, "xdistill_resnet18", source="local", norm={norm!r})
image = torch.arange(3 * 64 * 64, dtype=torch.uint8).view(1, 3, 64, 64)
import xdistill_encoder
print(json.dumps([xdistill_encoder.__file__, encoder.norm, encoder(image)[0].tolist()]))
"""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    package, loaded, features = json.loads(done.stdout)
    assert Path(package).parent == ROOT / "xdistill_encoder"
    assert loaded == norm
    image = torch.arange(3 * 64 * 64, dtype=torch.uint8).view(1, 3, 64, 64)
    torch.testing.assert_close(torch.tensor(features), XDistillResNet18.from_pretrained(norm=norm)(image)[0])


def test_torch_hub_takes_the_options_of_from_pretrained(random_encoder, images, tmp_path, monkeypatch):
    folder = random_encoder("batch").save_pretrained(tmp_path / "encoder")
    monkeypatch.chdir(tmp_path)
    loaded = torch.hub.load(
        str(ROOT), "xdistill_resnet18", str(folder), source="local", norm="frozen", inputs_normalized=True
    )
    assert isinstance(loaded, XDistillResNet18)
    assert loaded.norm == "frozen"
    expected = XDistillResNet18.from_pretrained(folder, norm="frozen", inputs_normalized=True)
    assert torch.equal(loaded(images / 255), expected(images / 255))


def test_xdistill_resnet18_is_the_only_entry_point():
    public = [name for name in dir(hubconf) if callable(getattr(hubconf, name)) and not name.startswith("_")]
    assert public == ["xdistill_resnet18"]  # what torch.hub.list shows


def test_torch_hub_loads_a_tag_from_a_zip_as_github_serves_it(tmp_path):
    packed = tmp_path / "v0.zip"
    folder = "owner-xdistill-encoder-0123456/"
    subprocess.run(["git", "archive", "--format=zip", f"--prefix={folder}", "-o", packed, "HEAD"], cwd=ROOT, check=True)
    program = f"""
import json, shutil, torch
torch.hub.download_url_to_file = lambda url, file, progress=True: (print(url), shutil.copy({str(packed)!r}, file))
encoder = torch.hub.load("owner/xdistill-encoder:v0", "xdistill_resnet18", skip_validation=True, trust_repo=True)
import xdistill_encoder
print(json.dumps([xdistill_encoder.__file__, encoder.checkpoint.name]))
"""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["TORCH_HOME"] = str(tmp_path / "hub")
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    *told, loaded = done.stdout.splitlines()
    package, name = json.loads(loaded)
    assert "https://github.com/owner/xdistill-encoder/zipball/v0" in told
    assert Path(package).is_relative_to(tmp_path / "hub")
    assert name in bundled_checkpoints()
