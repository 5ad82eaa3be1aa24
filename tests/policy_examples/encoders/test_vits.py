from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from timm import create_model
from transformers import (
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    Dinov2Config,
    Dinov2Model,
    ViTConfig,
    ViTModel,
)

from policy_examples.encoders import empty_encoder, load_encoder
from tests.distillation.saved_teachers import randomize

SMALL: dict[str, Any] = {"hidden_size": 384, "num_attention_heads": 6}
DINOV2 = Dinov2Config(**SMALL, image_size=518, patch_size=14)  # config.json of facebook/dinov2-small
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.fixture(scope="module")
def dinov2(tmp_path_factory):
    """(folder, model) of the architecture of facebook/dinov2-small."""
    folder, model = tmp_path_factory.mktemp("dinov2"), randomize(Dinov2Model(DINOV2))
    model.save_pretrained(folder)
    return str(folder), model


@pytest.fixture(scope="module")
def depth_anything(tmp_path_factory):
    """(folder, model) of the architecture of depth-anything/Depth-Anything-V2-Small-hf."""
    stages: dict[str, Any] = {"out_indices": [3, 6, 9, 12], "reshape_hidden_states": False, "apply_layernorm": True}
    backbone = Dinov2Config(**SMALL, image_size=518, patch_size=14, **stages)
    decoder: dict[str, Any] = {
        "neck_hidden_sizes": [48, 96, 192, 384],
        "fusion_hidden_size": 64,
        "reassemble_hidden_size": 384,
    }
    model = DepthAnythingForDepthEstimation(DepthAnythingConfig(backbone_config=backbone, **decoder))
    folder = tmp_path_factory.mktemp("depth_anything")
    randomize(model).save_pretrained(folder)
    return str(folder), model


@pytest.fixture(scope="module")
def theia(tmp_path_factory):
    """(folder, backbone) of Theia's keys: the ViT of facebook/deit-small-patch16-224 beside translators."""
    config = ViTConfig(**SMALL, intermediate_size=1536, image_size=224, patch_size=16, layer_norm_eps=1e-12)
    folder, model = tmp_path_factory.mktemp("theia"), randomize(ViTModel(config, add_pooling_layer=False))
    model.save_pretrained(folder)
    tensors = {f"backbone.model.{key}": tensor for key, tensor in load_file(folder / "model.safetensors").items()}
    translators = {"translator.translator_heads.facebook/dinov2-large.adapter.0.weight": torch.rand(4, 4)}
    save_file(tensors | translators, folder / "model.safetensors")
    return str(folder), model


@torch.no_grad()
def test_dinov2_gives_the_cls_token_of_transformers_forward_pass(dinov2, frames, prepared):
    folder, model = dinov2
    encoder = load_encoder("dinov2-s", folder).eval()
    expected = model(prepared(frames, 224, "bicubic")).last_hidden_state[:, None, 0]
    torch.testing.assert_close(encoder(frames), expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_depth_anything_gives_the_mean_of_the_patches_that_its_decoder_reads(depth_anything, frames, prepared):
    folder, model = depth_anything
    encoder = load_encoder("depth-anything-s", folder, image_size_px=84).eval()
    last = model.backbone(prepared(frames, 84, "bicubic")).feature_maps[-1]  # (B, 1 + 36, 384)
    torch.testing.assert_close(encoder(frames), last[:, 1:].mean(dim=1, keepdim=True), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_theia_gives_the_mean_of_the_patches_that_its_translators_read(theia, frames, prepared):
    folder, model = theia
    encoder = load_encoder("theia-s", folder).eval()
    tokens = model(prepared(frames, 224, "bilinear", HALF)).last_hidden_state  # (B, 1 + 196, 384)
    torch.testing.assert_close(encoder(frames), tokens[:, 1:].mean(dim=1, keepdim=True), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_weights_under_timms_names_are_read_too(tmp_path, frames, prepared):
    model = randomize(create_model("vit_small_patch14_dinov2", num_classes=0, img_size=224))
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    encoder = load_encoder("dinov2-s", str(tmp_path)).eval()
    torch.testing.assert_close(encoder(frames)[:, 0], model(prepared(frames, 224, "bicubic")), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "side", "parameters"),
    [
        # 12 blocks of 12 * 384 ** 2 + 13 * 384, the final norm, the patches, [CLS] with its position and theirs;
        # DINOv2's blocks scale their two branches
        ("dinov2-s", 224, 12 * (12 * 384**2 + 15 * 384) + 2 * 384 + (3 * 14 * 14 + 1) * 384 + (2 + 16 * 16) * 384),
        (
            "depth-anything-s",
            518,
            12 * (12 * 384**2 + 15 * 384) + 2 * 384 + (3 * 14 * 14 + 1) * 384 + (2 + 37 * 37) * 384,
        ),
        ("theia-s", 224, 12 * (12 * 384**2 + 13 * 384) + 2 * 384 + (3 * 16 * 16 + 1) * 384 + (2 + 14 * 14) * 384),
    ],
)
def test_each_transformer_is_a_vit_s_at_the_size_of_its_pretraining(name, side, parameters):
    encoder = empty_encoder({"name": name, "norm": None, "readout": "pooled", "image_size_px": side, "origin": None})
    assert encoder.parameter_count == parameters
    assert 21e6 < parameters < 22.1e6
    assert (encoder.num_features, encoder.image_size_px, encoder.norm) == (384, side, None)


def test_the_default_sizes_are_those_of_the_published_image_processors(dinov2, depth_anything, theia):
    assert load_encoder("dinov2-s", dinov2[0]).image_size_px == 224
    assert load_encoder("depth-anything-s", depth_anything[0]).image_size_px == 518
    assert load_encoder("theia-s", theia[0]).image_size_px == 224


@torch.no_grad()
def test_spatial_softmax_of_a_transformer_reads_the_grid_of_patches(dinov2, frames):
    pooled = load_encoder("dinov2-s", dinov2[0], image_size_px=56).eval()
    encoder = load_encoder("dinov2-s", dinov2[0], readout="spatial_softmax", image_size_px=56).eval()
    tokens = pooled.network.vit.forward_features(pooled.network.pixels(frames[:, 0]))[:, 1:]  # (B, 16, 384)
    attention = tokens.softmax(dim=1).unflatten(1, (4, 4))  # (B, rows, columns, 384)
    at = torch.linspace(-1, 1, 4)
    x = torch.einsum("brcd,c->bd", attention, at)
    y = torch.einsum("brcd,r->bd", attention, at)
    assert encoder.num_features == 768
    torch.testing.assert_close(encoder(frames)[:, 0], torch.stack([x, y], dim=-1).flatten(1))


def test_a_size_that_is_no_multiple_of_the_patch_is_refused(dinov2):
    with pytest.raises(ValueError, match="image_size_px: expected a multiple of 14 px, the patch, from 32 up, got 128"):
        load_encoder("dinov2-s", dinov2[0], image_size_px=128)


def test_a_norm_or_a_teachers_embedding_is_refused_of_a_transformer(dinov2):
    with pytest.raises(ValueError, match="norm: dinov2-s comes with its own layers, got 'frozen'; leave it out"):
        load_encoder("dinov2-s", dinov2[0], "frozen")
    with pytest.raises(
        ValueError, match="readout: dinov2-s has 'pooled' and 'spatial_softmax', got 'teacher_embedding'"
    ):
        load_encoder("dinov2-s", dinov2[0], readout="teacher_embedding")


def test_the_weights_of_another_of_the_three_are_refused(dinov2, depth_anything, theia):
    with pytest.raises(ValueError, match=r"surplus keys backbone\..*another architecture"):
        load_encoder("dinov2-s", depth_anything[0])
    with pytest.raises(ValueError, match=r"expected keys of depth-anything/.*start with backbone\., neck\., head\."):
        load_encoder("depth-anything-s", dinov2[0], image_size_px=84)
    with pytest.raises(ValueError, match=r"expected keys of theaiinstitute/theia-small-patch16-224-cdiv"):
        load_encoder("theia-s", depth_anything[0])


def test_weights_that_lack_a_tensor_are_refused(dinov2, tmp_path):
    tensors = load_file(f"{dinov2[0]}/model.safetensors")
    del tensors["encoder.layer.3.attention.attention.value.bias"]
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"missing keys blocks\.3\.attn\.qkv\.bias"):
        load_encoder("dinov2-s", str(tmp_path))
