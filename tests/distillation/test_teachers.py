import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import datasets
import numpy as np
import pytest
import torch
from huggingface_hub import constants
from torchvision.transforms.v2 import functional as tvf

from distillation.teachers import load_teacher
from tests.distillation.saved_teachers import save_timm, save_transformers
from tests.xdistill_encoder.hub_server import HubServer


@pytest.fixture
def images():
    """(2, 3, 32, 32) uint8 noise."""
    return torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def test_uint8_and_float_images_give_the_same_embedding(teacher_spec, images):
    teacher = load_teacher(teacher_spec)
    torch.testing.assert_close(teacher(images), teacher(images.float() / 255))


@pytest.mark.parametrize("spec", ["teacher_spec", "transformers"])
def test_a_compiled_teacher_is_one_graph_that_gives_the_same_embedding_and_patches(request, tmp_path, spec):
    spec = save_transformers(tmp_path, "dinov2")[0] if spec == "transformers" else request.getfixturevalue(spec)
    plain, compiled = load_teacher(spec), load_teacher(spec)
    compiled.compile(backend="eager", fullgraph=True)
    images = torch.randint(0, 256, (2, 3, plain.image_size, plain.image_size), dtype=torch.uint8)
    for ours, theirs in zip(compiled.embed(images), plain.embed(images), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_teacher_stays_frozen_in_eval_mode(teacher_spec, images):
    teacher = load_teacher(teacher_spec).train()
    assert not any(module.training for module in teacher.modules())
    assert not any(p.requires_grad for p in teacher.parameters())
    assert not teacher(images).requires_grad


def test_the_fingerprint_is_that_of_the_weights_wherever_they_lie(teacher_spec, tmp_path):
    folder = shutil.copytree(teacher_spec.removeprefix("local-dir:"), tmp_path / "elsewhere")
    teacher = load_teacher(str(folder))
    assert teacher.fingerprint == load_teacher(teacher_spec).fingerprint
    teacher.tower.model.norm.bias.add_(1)
    assert teacher.fingerprint != load_teacher(teacher_spec).fingerprint


# ---- specs


def test_an_unknown_embedding_is_refused_with_those_there_are(teacher_spec):
    with pytest.raises(ValueError, match="embedding: expected one of cls, avg, got 'patch'"):
        load_teacher(teacher_spec, embedding="patch")  # pyright: ignore[reportArgumentType]


# ---- the Hub


@pytest.fixture
def hub():
    """A Hub that answers at HF_ENDPOINT until the test ends."""
    server = HubServer(urlsplit(constants.ENDPOINT).port or 0)
    server.start()
    yield server
    server.stop()


def files(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def test_a_revision_of_a_repository_is_loaded_and_recorded_by_its_commit(hub, tmp_path):
    folder, model, _ = save_transformers(tmp_path, "dinov2")
    commit = hub.add("facebook/dinov2-tiny", files(folder))
    hub.repositories["facebook/dinov2-tiny"].tags["v1"] = commit
    hub.repositories["facebook/dinov2-tiny"].commit({"config.json": b"{}"})
    teacher = load_teacher("hf/facebook/dinov2-tiny@v1")
    assert (teacher.name, teacher.revision) == ("dinov2-tiny", commit)
    images = torch.rand(1, 3, 56, 56)
    torch.testing.assert_close(teacher(images), model((images - teacher.mean) / teacher.std).pooler_output)
    with pytest.raises(ValueError, match="facebook/dinov2-tiny has no revision 'v2'"):
        load_teacher("hf/facebook/dinov2-tiny@v2")


def test_a_timm_model_comes_from_the_repository_that_timm_names_with_its_pickle_left_there(hub, tmp_path):
    folder, model = save_timm(tmp_path, "vit_small_patch14_dinov2", img_size=28, depth=1)
    commit = hub.add("timm/vit_small_patch14_dinov2.lvd142m", files(folder) | {"pytorch_model.bin": b"pickle"})
    for spec in ("timm/vit_small_patch14_dinov2", "hf/timm/vit_small_patch14_dinov2.lvd142m"):
        teacher = load_teacher(spec)
        images = torch.rand(1, 3, 28, 28)
        torch.testing.assert_close(teacher(images), model((images - teacher.mean) / teacher.std))
        assert teacher.revision == commit
    assert not any(path.endswith("pytorch_model.bin") for _, path, _ in hub.requests)


# ---- the real teacher


def test_the_real_teacher_names_the_class_of_real_photographs(shared):
    """82.7 % on ImageNet at 224 px, and these are 10 easy classes at 128 px; chance is 0.1."""
    table = datasets.load_dataset("parquet", data_files=f"{shared}/data/eval/imagenette_val.parquet", split="train")
    teacher = load_teacher(f"{shared}/teachers/vit_tiny_patch16_224.augreg_in21k_ft_in1k")
    rows: Any = table.select(np.linspace(0, len(table) - 1, 64, dtype=int))
    images = torch.stack(
        [teacher.preprocessing.prepare(tvf.pil_to_tensor(row["image"].convert("RGB"))) for row in rows]
    )
    classes = torch.tensor([0, 217, 482, 491, 497, 566, 569, 571, 574, 701])  # Imagenette's among ImageNet's
    predicted = teacher.classify(images)[:, classes].argmax(dim=1)
    assert (predicted == torch.tensor(rows["label"])).float().mean() > 0.9
    assert teacher.fingerprint == "abcf8fc070c7a630"  # on which target caches and cards of bundled weights rely
