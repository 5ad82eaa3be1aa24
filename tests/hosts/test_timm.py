import json
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from tests.xdistill_encoder.hub_server import serving
from xdistill_encoder import CheckpointError, XDistillResNet18
from xdistill_encoder.hosts.timm import export_timm

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(encoder, tmp_path):
    return export_timm(encoder, tmp_path / "timm")


def test_timm_gives_the_encoders_features_map_and_pyramid(encoder, folder, pixels, normalised):
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    pyramid = timm.create_model(f"local-dir:{folder}", pretrained=True, features_only=True).eval()
    with torch.inference_mode():
        torch.testing.assert_close(model(normalised), encoder(pixels), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(
            model.forward_features(normalised), encoder.forward_features(pixels), rtol=1e-4, atol=1e-4
        )
        for theirs, ours in zip(pyramid(normalised)[1:], encoder.forward_pyramid(pixels), strict=True):
            torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-4)


def test_its_batch_norm_frozen_by_timm_gives_the_features_in_training_too_as_the_page_does_in_umi(
    encoder, folder, pixels, normalised
):
    model = timm.layers.freeze_batch_norm_2d(timm.create_model(f"local-dir:{folder}", pretrained=True)).train()
    model(torch.zeros(1, 3, 64, 64))  # UMI's probe of the shape
    with torch.inference_mode():
        torch.testing.assert_close(model(normalised), encoder(pixels), rtol=1e-4, atol=1e-4)


def test_timm_loads_the_uploaded_folder_from_the_hub(encoder, folder, pixels, normalised):
    with serving() as hub:
        hub.add("robots/encoder-for-timm", {file.name: file.read_bytes() for file in folder.iterdir()})
        model = timm.create_model("hf-hub:robots/encoder-for-timm", pretrained=True).eval()
    with torch.inference_mode():
        torch.testing.assert_close(model(normalised), encoder(pixels), rtol=1e-4, atol=1e-4)


def test_timms_own_transform_is_that_of_the_encoder(folder):
    model = timm.create_model(f"local-dir:{folder}", pretrained=True)
    config = timm.data.resolve_model_data_config(model)
    assert list(config["mean"]) == [0.485, 0.456, 0.406]
    assert list(config["std"]) == [0.229, 0.224, 0.225]
    assert config["crop_pct"] == 1.0


def test_a_classifier_is_added_on_top_of_the_weights(encoder, folder):
    model = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=10)
    assert model.fc.out_features == 10
    assert torch.equal(model.layer4[1].conv2.weight, encoder.trunk.layer4[1].conv2.weight)


def test_group_norm_loads_after_one_import_and_its_absence_is_told(random_encoder, tmp_path, pixels, normalised):
    encoder = random_encoder("group")
    folder = export_timm(encoder, tmp_path / "timm")
    load = f"import timm; timm.create_model('local-dir:{folder}', pretrained=True)"
    done = subprocess.run([sys.executable, "-c", load], capture_output=True, text=True, cwd=ROOT)
    assert "xdistill_resnet18_gn" in done.stderr.splitlines()[-1]
    import xdistill_encoder.hosts.timm_group_norm  # noqa: F401

    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    with torch.inference_mode():
        torch.testing.assert_close(model(normalised), encoder(pixels), rtol=1e-4, atol=1e-4)


def test_the_folder_says_where_its_weights_come_from_and_is_no_checkpoint_of_ours(encoder, folder):
    config = json.loads((folder / "config.json").read_text())
    assert config["xdistill"]["started_from"]["name"] == encoder.checkpoint.name
    with pytest.raises(CheckpointError, match=r"config.json"):
        XDistillResNet18.from_pretrained(folder)


def test_an_export_does_not_overwrite_a_checkpoint_and_replaces_an_export(encoder, folder, tmp_path):
    own = encoder.save_pretrained(tmp_path / "own")
    with pytest.raises(ValueError, match="holds a checkpoint of this package"):
        export_timm(encoder, own)
    XDistillResNet18.from_pretrained(own)
    export_timm(encoder, folder)
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_an_export_and_a_checkpoint_do_not_overwrite_another_model(encoder, folder, tmp_path):
    (tmp_path / "config.json").write_text('{"type": "diffusion"}')
    with pytest.raises(ValueError, match="holds another model; give the export a folder of its own"):
        export_timm(encoder, tmp_path)
    with pytest.raises(ValueError, match="holds another model .* give the checkpoint a folder of its own"):
        encoder.save_pretrained(folder)
    (tmp_path / "config.json").unlink()
    save_file({"weight": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="folder: .*holds another model .model.safetensors"):
        export_timm(encoder, tmp_path)
    assert list(load_file(tmp_path / "model.safetensors")) == ["weight"]
