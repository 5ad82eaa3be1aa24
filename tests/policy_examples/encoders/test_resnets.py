import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from timm import create_model
from timm.models import save_for_hf

from policy_examples.encoders import empty_encoder, load_encoder
from xdistill_encoder import XDistillResNet18
from xdistill_encoder.checkpoint_weights import WEIGHTS_FILE
from xdistill_encoder.checkpoints import DEFAULT_CHECKPOINTS

RESNET18 = 11_176_512  # torchvision's count, 11,689,512, without the classifier of 512 * 1000 + 1000


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory):
    """(folder as timm saves a ResNet-18 with its classifier, model), no tensor at its initial constant."""
    model, generator = create_model("resnet18").eval(), torch.Generator().manual_seed(0)
    for tensor in model.state_dict().values():
        if tensor.ndim == 1:
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    folder = tmp_path_factory.mktemp("imagenet")
    save_for_hf(model, str(folder), {"num_classes": 1000}, {}, safe_serialization=True)
    return str(folder), model


@pytest.fixture(scope="module")
def distilled(random_encoder, tmp_path_factory):
    """(folder of a distilled encoder with a teacher head of 8, the encoder)."""
    encoder = random_encoder("batch")
    return str(encoder.save_pretrained(tmp_path_factory.mktemp("distilled"), name="distilled")), encoder


def test_a_checkpoint_is_loaded_with_the_norm_that_it_has_unless_another_is_asked_for():
    assert load_encoder("xdistill").norm == "frozen"
    assert load_encoder("xdistill", DEFAULT_CHECKPOINTS["group"]).norm == "group"


def test_the_scratch_encoder_has_group_norm_unless_another_is_asked_for():
    assert load_encoder("resnet18-scratch").norm == "group"
    assert load_encoder("resnet18-scratch", norm="frozen").norm == "frozen"


def test_the_scratch_encoder_starts_where_the_global_seed_says():
    def first_kernel(seed):
        torch.manual_seed(seed)
        return load_encoder("resnet18-scratch").network.resnet.trunk.conv1.weight

    assert torch.equal(first_kernel(0), first_kernel(0))
    assert not torch.equal(first_kernel(0), first_kernel(1))


def test_a_checkpoint_folder_loads_with_frozen_statistics_and_without_the_teacher_head(distilled):
    folder, saved = distilled
    loaded = load_encoder("xdistill", folder)
    assert (loaded.norm, loaded.num_features, loaded.parameter_count) == ("frozen", 512, RESNET18)
    assert not any("teacher_head" in name for name in loaded.state_dict())
    assert torch.equal(loaded.network.resnet.trunk.conv1.weight, saved.trunk.conv1.weight)
    assert loaded.saved["origin"] == "distilled"
    assert loaded.saved["weights_sha256"] == hashlib.sha256((Path(folder) / WEIGHTS_FILE).read_bytes()).hexdigest()


def test_the_bundled_checkpoint_is_the_default():
    assert load_encoder("xdistill").saved["origin"] == "resnet18-bn-vit-ti16-augreg-97k"


@torch.no_grad()
def test_xdistill_reads_frames_as_the_product_does(distilled, frames):
    encoder = load_encoder("xdistill", distilled[0])
    assert encoder.image_size_px is None
    torch.testing.assert_close(encoder(frames), XDistillResNet18.from_pretrained(distilled[0])(frames))


@torch.no_grad()
def test_the_readouts_are_the_products(distilled, frames):
    product = XDistillResNet18.from_pretrained(distilled[0])
    positions = load_encoder("xdistill", distilled[0], readout="spatial_softmax")
    assert positions.num_features == 1024
    torch.testing.assert_close(positions(frames), product.forward_spatial_softmax(frames))
    embedding = load_encoder("xdistill", distilled[0], readout="teacher_embedding")
    assert embedding.num_features == 8
    torch.testing.assert_close(embedding(frames), product.teacher_embedding(frames))


def test_the_layer_to_the_teachers_width_learns_where_it_is_read(distilled, frames):
    encoder = load_encoder("xdistill", distilled[0], readout="teacher_embedding")
    encoder(frames).square().mean().backward()
    assert encoder.network.resnet.teacher_head.weight.grad.abs().sum() > 0
    learning = sum(parameter.numel() for group in encoder.param_groups(1e-4, 0.0) for parameter in group["params"])
    assert learning == encoder.parameter_count == RESNET18 + 8 * 512 + 8


def test_a_teachers_embedding_needs_a_teacher_head():
    with pytest.raises(ValueError, match="readout: resnet18-scratch has 'pooled' and 'spatial_softmax', got 'teacher_"):
        load_encoder("resnet18-scratch", readout="teacher_embedding")


@torch.no_grad()
def test_the_supervised_encoder_gives_timms_pooled_features_at_224_px(imagenet, frames, prepared):
    folder, model = imagenet
    encoder = load_encoder("resnet18-imagenet", folder).eval()
    pooled = model.forward_head(model.forward_features(prepared(frames, 224, "bilinear")), pre_logits=True)
    torch.testing.assert_close(encoder(frames)[:, 0], pooled, atol=1e-4, rtol=1e-4)
    assert (encoder.norm, encoder.image_size_px, encoder.parameter_count) == ("frozen", 224, RESNET18)


def test_weights_from_before_batches_were_counted_load_too(imagenet, tmp_path):
    counted = load_file(f"{imagenet[0]}/model.safetensors")
    save_file({k: v for k, v in counted.items() if "num_batches" not in k}, tmp_path / "model.safetensors")
    loaded = load_encoder("resnet18-imagenet", str(tmp_path)).state_dict()
    assert torch.equal(loaded["network.resnet.trunk.layer4.1.bn2.running_var"], counted["layer4.1.bn2.running_var"])


def test_group_norm_is_refused_of_weights_that_were_trained_with_batch_norm(imagenet):
    with pytest.raises(ValueError, match="norm: resnet18-imagenet was trained with batch norm, got 'group'"):
        load_encoder("resnet18-imagenet", imagenet[0], "group")


def test_weights_of_another_resnet_are_refused(tmp_path):
    save_file(create_model("resnet10t").state_dict(), tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="missing keys .* surplus keys .* another architecture"):
        load_encoder("resnet18-imagenet", str(tmp_path))


@pytest.mark.parametrize("name", ["xdistill", "resnet18-scratch", "resnet18-imagenet"])
def test_batch_norm_with_live_statistics_is_refused_with_the_reason(name):
    with pytest.raises(
        ValueError, match=rf"norm: accepted for {name} are .* got 'batch'. The averaged copy .* wrong ones"
    ):
        load_encoder(name, norm="batch")


def test_batch_norm_is_accepted_where_it_is_allowed_by_name(distilled):
    encoder = load_encoder("xdistill", distilled[0], "batch", allow_batch_norm=True).train()
    assert encoder.network.resnet.trunk.bn1.training
    assert empty_encoder(encoder.saved).norm == "batch"


def test_a_checkpoint_for_the_scratch_encoder_is_refused():
    with pytest.raises(ValueError, match="starts from random weights, got 'folder'"):
        load_encoder("resnet18-scratch", "folder")


@torch.no_grad()
def test_frames_are_resized_where_a_size_is_asked_for(distilled, frames, prepared):
    encoder = load_encoder("xdistill", distilled[0], image_size_px=64)
    product = XDistillResNet18.from_pretrained(distilled[0], inputs_normalized=True)
    torch.testing.assert_close(encoder(frames)[:, 0], product(prepared(frames, 64, "bilinear")), atol=1e-4, rtol=1e-4)
