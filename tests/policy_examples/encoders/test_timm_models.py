import json
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from distillation.teachers import load_teacher
from policy_examples.encoders import empty_encoder, load_encoder
from tests.distillation.saved_teachers import randomize
from tests.xdistill_encoder.hub_server import serving
from xdistill_encoder.readouts import spatial_softmax

MEAN, STD = (0.5, 0.4, 0.3), (0.5, 0.6, 0.7)


@pytest.fixture
def published(tmp_path):
    """(architecture, what else its configuration says) -> (folder as timm writes it, the model with its classifier)."""

    def publish(architecture="test_vit", **declared):
        model = randomize(timm.create_model(architecture, num_classes=10))
        folder = tmp_path / architecture
        folder.mkdir(exist_ok=True)
        save_file(model.state_dict(), folder / "model.safetensors")
        cfg = {"input_size": [3, 160, 160], "interpolation": "bicubic", "mean": MEAN, "std": STD, **declared}
        config = {"architecture": architecture, "num_classes": 10, "pretrained_cfg": cfg}
        (folder / "config.json").write_text(json.dumps(config))
        return str(folder), model

    return publish


@torch.no_grad()
@pytest.mark.parametrize("architecture", ["test_vit", "test_convnext"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_a_model_gives_what_it_pools_of_frames_as_it_was_pretrained_on(
    published, frames, prepared, architecture, interpolation
):
    folder, model = published(architecture, interpolation=interpolation)
    encoder = load_encoder("timm", folder).eval()
    assert (encoder.image_size_px, encoder.norm, encoder.reads) == (160, None, "image")
    pixels = prepared(frames, 160, interpolation, (MEAN, STD))
    expected = model.forward_head(model.forward_features(pixels), pre_logits=True)
    assert encoder.num_features == expected.shape[1]
    torch.testing.assert_close(encoder(frames)[:, 0], expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_a_transformer_of_another_size_has_its_position_embeddings_resampled(published, frames, prepared):
    folder, _ = published("test_vit")
    encoder = load_encoder("timm", folder, image_size_px=96).eval()
    resampled: Any = timm.create_model(f"local-dir:{folder}", pretrained=True, img_size=96).eval()
    pixels = prepared(frames, 96, "bicubic", (MEAN, STD))
    expected = resampled.forward_head(resampled.forward_features(pixels), pre_logits=True)
    torch.testing.assert_close(encoder(frames)[:, 0], expected, atol=1e-4, rtol=1e-4)
    with pytest.raises(ValueError, match="image_size_px: expected a multiple of 16 px, the patch, from 32 up, got 100"):
        load_encoder("timm", folder, image_size_px=100)


@torch.no_grad()
def test_spatial_softmax_reads_the_last_map_without_the_class_token(published, frames, prepared):
    folder, model = published("test_vit")
    encoder = load_encoder("timm", folder, readout="spatial_softmax").eval()
    tokens = model.forward_features(prepared(frames, 160, "bicubic", (MEAN, STD)))[:, 1:]  # (B, 100, 64)
    expected = spatial_softmax(tokens.transpose(1, 2).unflatten(2, (10, 10)))
    torch.testing.assert_close(encoder(frames)[:, 0], expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_the_teacher_of_a_distillation_gives_its_embeddings_to_a_policy(published, frames, prepared):
    folder, _ = published("test_vit")
    teacher = load_teacher(folder)
    resized = prepared(frames, 160, "bicubic", ((0, 0, 0), (1, 1, 1)))  # a teacher normalises by itself
    encoder = load_encoder("timm", folder).eval()
    torch.testing.assert_close(encoder(frames)[:, 0], teacher(resized), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("architecture", ["test_vit", "test_convnext"])
@pytest.mark.parametrize("readout", ["pooled", "spatial_softmax"])
def test_everything_that_is_given_to_an_optimizer_learns(published, frames, architecture, readout):
    encoder = load_encoder("timm", published(architecture)[0], readout=readout)
    encoder(frames).square().sum().backward()
    groups = encoder.param_groups(1e-4, 0.0)
    assert all(parameter.grad is not None for group in groups for parameter in group["params"])


def test_it_is_rebuilt_from_its_description_without_its_folder(published, frames):
    encoder = load_encoder("timm", published()[0], image_size_px=96).eval()
    rebuilt = empty_encoder(json.loads(json.dumps(encoder.saved))).eval()
    rebuilt.load_state_dict(encoder.state_dict(), strict=True)
    with torch.no_grad():
        assert torch.equal(rebuilt(frames), encoder(frames))


def test_a_model_comes_from_the_hub_with_the_commit_that_it_is_of(published, frames, tmp_path):
    folder, _ = published()
    files = {name: (tmp_path / "test_vit" / name).read_bytes() for name in ("config.json", "model.safetensors")}
    with serving() as hub:
        commit = hub.add("timm/test_vit.mine", files)
        encoder = load_encoder("timm", "timm/test_vit.mine").eval()
        assert encoder.saved["origin"] == f"timm/test_vit.mine@{commit}"
        assert encoder.saved["weights_sha256"] == load_encoder("timm", folder).saved["weights_sha256"]
        with torch.no_grad():
            assert torch.equal(encoder(frames), load_encoder("timm", folder).eval()(frames))
        hub.add("robots/other", {"model.safetensors": files["model.safetensors"]})
        with pytest.raises(
            ValueError, match=r"robots/other on the .* cannot be downloaded \(it holds no config.json\)"
        ):
            load_encoder("timm", "robots/other")


def test_what_it_cannot_have_is_refused(published):
    folder, _ = published()
    with pytest.raises(ValueError, match="checkpoint: timm needs a folder or a Hub id, such as timm/.*, got None"):
        load_encoder("timm")
    with pytest.raises(ValueError, match="norm: timm comes with its own layers, got 'group'; leave it out"):
        load_encoder("timm", folder, "group")
    with pytest.raises(ValueError, match="readout: timm has 'pooled' and 'spatial_softmax', got 'teacher_embedding'"):
        load_encoder("timm", folder, readout="teacher_embedding")
    with pytest.raises(ValueError, match="architecture: timm/test_resnet has batch norm, whose statistics"):
        load_encoder("timm", published("test_resnet")[0])
    with pytest.raises(ValueError, match="wants images resized by 'lanczos'; accepted are 'bilinear' and 'bicubic'"):
        load_encoder("timm", published(interpolation="lanczos")[0])


def test_a_model_that_a_policy_would_build_or_feed_otherwise_is_refused(published, tmp_path):
    folder, _ = published()
    path = tmp_path / "test_vit" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"model_args": {"global_pool": "avg"}}))
    with pytest.raises(ValueError, match="changes the architecture of test_vit by model_args, {'global_pool': 'avg'}"):
        load_encoder("timm", folder)
    for size in ([3, 224, 160], [1, 160, 160]):
        with pytest.raises(ValueError, match="expected a model of square images of 3 channels, .* says"):
            load_encoder("timm", published(input_size=size)[0])
    with pytest.raises(ValueError, match="architecture: timm/pit_ti_224 takes images of one size alone; take a ViT"):
        load_encoder("timm", published("pit_ti_224")[0])


def test_a_folder_that_is_none_of_timms_is_refused(published, random_encoder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no config.json; where there is a connection, `hf download timm/MODEL"):
        load_encoder("timm", str(tmp_path / "empty"))
    ours = random_encoder().save_pretrained(tmp_path / "ours")
    with pytest.raises(ValueError, match="ours was not written by timm; a checkpoint of `xdistill distill` is"):
        load_encoder("timm", str(ours))
    folder, _ = published()
    (tmp_path / "test_vit" / "config.json").write_text('{"architecture": "no_such_model"}')
    with pytest.raises(ValueError, match="names the architecture 'no_such_model', which timm .* does not know"):
        load_encoder("timm", folder)
    (tmp_path / "test_vit" / "config.json").write_text("{")
    with pytest.raises(ValueError, match="config.json is no JSON .*; fetch it again"):
        load_encoder("timm", folder)
    folder, _ = published()
    (tmp_path / "test_vit" / "model.safetensors").write_bytes(b"short")
    with pytest.raises(ValueError, match="the weights in .*test_vit do not make a test_vit"):
        load_encoder("timm", folder)
    save_file({"cls_token": torch.zeros(1, 1, 3)}, tmp_path / "test_vit" / "model.safetensors")
    with pytest.raises(ValueError, match="the weights in .*test_vit do not make a test_vit .*; fetch them again"):
        load_encoder("timm", folder)
