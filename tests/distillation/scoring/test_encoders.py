from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torchvision import models

from distillation.scoring.encoders import CentreView, load_encoder, teacher_as_encoder
from distillation.students import Student
from distillation.teachers import load_teacher
from xdistill_encoder import XDistillResNet18
from xdistill_encoder.images import IMAGENET_MEAN, IMAGENET_STD


def normalized(images: torch.Tensor, mean=IMAGENET_MEAN, std=IMAGENET_STD) -> torch.Tensor:
    return (images.float() / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


def test_a_checkpoint_gives_its_features_and_its_estimate_of_the_teacher(images):
    encoder = load_encoder(None, 128)
    reference = XDistillResNet18.from_pretrained()
    assert reference.checkpoint is not None
    assert (encoder.name, encoder.weights_sha256) == (reference.checkpoint.name, reference.checkpoint.weights_sha256)
    assert encoder.teacher_head is not None
    torch.testing.assert_close(encoder.features(images), reference(images))
    torch.testing.assert_close(encoder.teacher_head(encoder.features(images)), reference.teacher_embedding(images))


def test_a_saved_folder_is_an_encoder(random_encoder, tmp_path, images):
    encoder = random_encoder("group")
    loaded = load_encoder(str(encoder.save_pretrained(tmp_path / "mine")), 64)
    assert (loaded.name, loaded.image_size_px) == ("mine", 64)
    torch.testing.assert_close(loaded.features(images), encoder(images))


@pytest.mark.parametrize(
    ("provenance", "size_px"),
    [({"settings": {"image_size": 96}}, 96), ({}, 224), ({"settings": "as in the paper"}, 224)],
)
def test_without_a_size_an_encoder_sees_the_size_that_it_was_distilled_at(tmp_path, provenance, size_px):
    folder = Student([6]).save(tmp_path / "student", name="student", provenance=provenance)
    assert load_encoder(str(folder)).image_size_px == size_px


def test_without_a_size_other_libraries_networks_see_their_usual_one():
    assert load_encoder("torchvision/resnet18:random").image_size_px == 224
    assert load_encoder("random").image_size_px == 224
    assert load_encoder("timm/resnet10t:random").image_size_px == 176  # its configuration's


def test_a_folder_of_an_ablation_student_is_an_encoder(tmp_path, images):
    torch.manual_seed(0)
    student = Student([6, 2], backbone="timm/resnet10t").eval()
    loaded = load_encoder(str(student.save(tmp_path / "ablation", name="resnet10t, 2 teachers", provenance={})), 64)
    assert loaded.name == "resnet10t, 2 teachers"
    assert loaded.teacher_head is not None
    estimates = loaded.teacher_head(loaded.features(images))
    torch.testing.assert_close(estimates, student(images), atol=2e-3, rtol=2e-2)  # weights are stored in float16


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small"])
def test_torchvision_features_are_what_the_last_layer_reads(name, images):
    torch.manual_seed(0)
    encoder = load_encoder(f"torchvision/{name}:random", 64)
    torch.manual_seed(0)
    model = models.get_model(name).eval()
    last = model.fc if isinstance(model, models.ResNet) else model.get_submodule("classifier.3")
    torch.testing.assert_close(last(encoder.features(images)), model(normalized(images)))
    assert (encoder.name, encoder.teacher_head) == (f"torchvision/{name}:random", None)


def test_torchvision_weights_fill_the_network(images, tmp_path, monkeypatch):
    """From torch's own cache, where torchvision looks before it downloads."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    cached = tmp_path / "hub" / "checkpoints" / Path(models.ResNet18_Weights.IMAGENET1K_V1.url).name
    model = models.resnet18().eval()
    torch.save(model.state_dict(), cached)
    encoder = load_encoder("torchvision/resnet18", 64)
    assert encoder.name == "torchvision/resnet18:IMAGENET1K_V1"
    torch.testing.assert_close(model.fc(encoder.features(images)), model(normalized(images)))

    torch.save({"conv1.weight": Path("a pickled object")}, cached)
    with pytest.raises(ValueError, match="ResNet18_Weights.IMAGENET1K_V1 cannot be downloaded or used: Weights only"):
        load_encoder("torchvision/resnet18", 64)


def test_timm_features_are_what_the_classifier_reads(images):
    torch.manual_seed(0)
    encoder = load_encoder("timm/resnet10t:random", 64)
    torch.manual_seed(0)
    model: Any = timm.create_model("resnet10t", num_classes=0).eval()
    config = model.pretrained_cfg
    torch.testing.assert_close(encoder.features(images), model(normalized(images, config["mean"], config["std"])))
    torch.testing.assert_close(encoder.features(images.float() / 255), encoder.features(images))
    assert (encoder.name, encoder.image_size_px) == ("timm/resnet10t:random", 64)


@pytest.mark.parametrize(
    ("spec", "features"), [("timm/vit_tiny_patch16_224:random", 192), ("torchvision/maxvit_t:random", 512)]
)
def test_a_transformer_of_fixed_size_takes_its_own(spec, features):
    encoder = load_encoder(spec, 64)
    assert encoder.image_size_px == 224
    view = encoder.prepare(torch.zeros(3, 50, 70, dtype=torch.uint8))
    assert encoder.features(view[None]).shape == (1, features)


def test_a_teacher_is_scored_on_its_own_preparation(teacher_spec, images):
    teacher = load_teacher(teacher_spec)
    encoder = teacher_as_encoder(teacher)
    view = encoder.prepare(images[0])
    assert (encoder.name, encoder.image_size_px) == (teacher.name, 32)
    torch.testing.assert_close(encoder.features(view[None]), teacher(teacher.preprocessing.prepare(images[0])[None]))


def test_the_centre_view_is_the_square_in_the_middle():
    image = torch.zeros(3, 40, 100, dtype=torch.uint8)
    image[:, :, 30:70] = 200
    assert CentreView(40)(image).eq(200).all()
    assert CentreView(20, "bicubic")(image).shape == (3, 20, 20)
    assert CentreView(20)(image.movedim(1, 2)).float().mean() > 195  # upright images too


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("tests", "tests: no config.json, .*; name a folder that save_pretrained.* or `xdistill distill` wrote"),
        ("kettle", "no checkpoint named 'kettle'"),
        ("torchvision/resnet19", "torchvision has no model 'resnet19'; close: .*resnet18"),
        ("torchvision/resnet18:IMAGENET22K", "no weights 'IMAGENET22K'; known are IMAGENET1K_V1, random"),
        ("torchvision/squeezenet1_0:random", "no linear classifier"),
        ("timm/resnet19", "timm has no model 'resnet19'; close: .*resnet"),
        ("timm/resnet18:a1_in1k", "names weights with a dot, 'timm/resnet18.<weights>'"),
        ("timm/vit_small_resnet26d_224", "timm has no weights for .*:random' scores it untrained"),
    ],
)
def test_a_wrong_spec_says_what_is_accepted(spec, message):
    with pytest.raises(ValueError, match=message):
        load_encoder(spec, 64)
