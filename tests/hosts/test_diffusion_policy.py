import ast
import copy
import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models import resnet18 as torchvision_resnet18
from torchvision.transforms import CenterCrop, Normalize, RandomCrop

from xdistill_encoder.checkpoints import DEFAULT_CHECKPOINTS, WEIGHTS_FOLDER
from xdistill_encoder.hosts.diffusion_policy import HostResNet18, resnet18
from xdistill_encoder.images import IMAGENET_MEAN, IMAGENET_STD

ONE_FILE = Path(__file__).parents[2] / "docs" / "hosts" / "xdistill_resnet18.py"
BUNDLED = WEIGHTS_FOLDER / DEFAULT_CHECKPOINTS["batch"]
MEAN, STD = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
RANGES = {  # what a configuration makes of pixels p in [0, 1]
    "minus_one_to_one": lambda p: 2 * p - 1,
    "minus_one_to_one_imagenet": lambda p: (2 * p - 1 - MEAN) / STD,
    "zero_to_one": lambda p: p,
    "imagenet": lambda p: (p - MEAN) / STD,
}


@pytest.mark.parametrize("images", RANGES)
def test_every_range_gives_the_encoders_features_the_borders_of_the_image_included(encoder, pixels, images):
    model = resnet18(images=images).eval()
    with torch.inference_mode():
        torch.testing.assert_close(model(RANGES[images](pixels / 255)), encoder(pixels), rtol=1e-4, atol=1e-4)


def test_children_and_keys_are_torchvisions_in_order(encoder):
    model, theirs = resnet18(), torchvision_resnet18()
    assert [name for name, _ in model.named_children()] == [name for name, _ in theirs.named_children()]
    assert list(model.state_dict()) == [key for key in theirs.state_dict() if not key.startswith("fc.")]


def test_a_swap_of_batch_norm_for_group_norm_finds_nothing_in_copies_either(encoder, pixels):
    model = copy.deepcopy(resnet18()).train()
    assert not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())
    before = {key: tensor.clone() for key, tensor in model.named_buffers()}
    model(2 * (pixels / 255) - 1).sum().backward()
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.named_buffers())
    assert model.conv1.weight.grad is not None


def test_group_norm_and_frozen_stages_are_the_encoders(random_encoder, tmp_path, pixels):
    encoder = random_encoder("group")
    folder = encoder.save_pretrained(tmp_path / "group")
    model = resnet18(folder, norm="group", freeze=["stem", "layer1"]).eval()
    assert [name for name, p in model.named_parameters() if not p.requires_grad] == [
        name for name, _ in model.named_parameters() if name.startswith(("conv1", "bn1", "layer1"))
    ]
    with torch.inference_mode():
        torch.testing.assert_close(model(2 * (pixels / 255) - 1), encoder(pixels), rtol=1e-4, atol=1e-4)


def test_pixels_of_another_range_are_refused_while_a_probe_of_zeros_passes(pixels):
    model = resnet18().eval()
    model(torch.zeros(1, 3, 64, 64))
    with pytest.raises(ValueError, match=r"'minus_one_to_one' means values in \[-1.20, 1.20\], got \[-6"):
        model(RANGES["minus_one_to_one_imagenet"](pixels / 255))
    with pytest.raises(ValueError, match=r"got \[0.00, 255.00\]"):
        model(pixels.float())


def test_the_first_batch_after_a_change_to_evaluation_is_looked_at_again(pixels):
    model = resnet18(images="zero_to_one").train()
    model(pixels / 255)
    model.eval()
    with pytest.raises(ValueError, match=r"got \[0.00, 255.00\]"):
        model(pixels.float())


def test_a_probe_of_normalised_zeros_passes_and_is_not_taken_for_an_image(pixels):
    model = resnet18(images="minus_one_to_one_imagenet").eval()
    model((torch.zeros(2, 3, 64, 64) - MEAN) / STD)
    with pytest.raises(ValueError, match=r"got \[0.00, 255.00\]"):
        model(pixels.float())


def test_live_batch_norm_an_unknown_range_and_an_unknown_stage_are_refused():
    with pytest.raises(ValueError, match="norm: expected 'frozen' or 'group', got 'batch'"):
        resnet18(norm="batch")
    with pytest.raises(ValueError, match="images: expected one of minus_one_to_one, .*got 'uint8'"):
        HostResNet18("frozen", "uint8")
    with pytest.raises(ValueError, match="stage: expected a list of names, got the text 'stem'"):
        resnet18(freeze="stem")
    with pytest.raises(ValueError, match="one or more of stem, .*got 'layer5'"):
        resnet18(freeze=["layer5"])


# ---- the contract of Diffusion Policy's MultiImageObsEncoder


def swap(module: nn.Module) -> nn.Module:
    """Every batch norm below a module becomes a fresh group norm, as `use_group_norm: True` does."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            module.set_submodule(name, nn.GroupNorm(child.num_features // 16, child.num_features))
        else:
            swap(child)
    return module


class Crop(nn.Module):
    """A random crop while training, the centre otherwise."""

    def __init__(self, size_px: int):
        super().__init__()
        self.random, self.centre = RandomCrop(size_px), CenterCrop(size_px)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.random(images) if self.training else self.centre(images)


class Cameras(nn.Module):
    """What Diffusion Policy does with an `rgb_model`: one for each camera or all, swapped, after crop and norm."""

    NAMES = ("front", "wrist")

    def __init__(self, rgb_model: nn.Module, share: bool, use_group_norm: bool, imagenet_norm: bool):
        super().__init__()
        models = [rgb_model] if share else [copy.deepcopy(rgb_model) for _ in self.NAMES]
        if use_group_norm and not share:
            models = [swap(model) for model in models]
        self.models = nn.ModuleList(models)
        normalize = Normalize(IMAGENET_MEAN, IMAGENET_STD) if imagenet_norm else nn.Identity()
        self.transform = nn.Sequential(Crop(64), normalize)

    def forward(self, observation: dict[str, torch.Tensor]) -> torch.Tensor:
        """(B, 3, 72, 96) in [-1, 1] a camera, joints (B, 2) -> (B, 2 * 512 + 2)."""
        images = [self.transform(observation[name]) for name in self.NAMES]
        if len(self.models) == 1:
            features = [*self.models[0](torch.cat(images)).chunk(len(images))]
        else:
            features = [model(image) for model, image in zip(self.models, images, strict=True)]
        return torch.cat([*features, observation["joints"]], dim=1)

    def output_shape(self) -> torch.Size:
        zeros = {name: torch.zeros(1, 3, 72, 96) for name in self.NAMES} | {"joints": torch.zeros(1, 2)}
        with torch.no_grad():
            return self(zeros).shape[1:]


@pytest.mark.parametrize(
    ("share", "use_group_norm", "imagenet_norm"), [(False, True, True), (False, False, False), (True, True, False)]
)
@pytest.mark.parametrize("factory", ["package", "one file"])
def test_an_image_encoder_like_diffusion_policys_keeps_the_features_through_copies_swap_training_and_reload(
    encoder, pixels, factory, share, use_group_norm, imagenet_norm
):
    images = "minus_one_to_one_imagenet" if imagenet_norm else "minus_one_to_one"
    rgb_model = resnet18(images=images) if factory == "package" else one_file().resnet18(BUNDLED, images=images)
    cameras = Cameras(rgb_model, share, use_group_norm, imagenet_norm)
    assert cameras.output_shape() == (2 * 512 + 2,)
    other = pixels.flip(-1)
    observation = {"front": pixels / 127.5 - 1, "wrist": other / 127.5 - 1, "joints": torch.zeros(2, 2)}
    with torch.inference_mode():
        found = cameras.eval()(observation)[:, :-2]
        expected = torch.cat([encoder(CenterCrop(64)(images)) for images in (pixels, other)], dim=1)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)

    average = copy.deepcopy(cameras)  # the moving average that is evaluated: parameters follow, buffers do not
    buffers = {name: tensor.clone() for name, tensor in cameras.named_buffers()}
    optimizer = torch.optim.AdamW(cameras.parameters(), lr=1e-4)
    cameras.train()(observation).square().mean().backward()
    optimizer.step()
    assert all(torch.equal(tensor, buffers[name]) for name, tensor in cameras.named_buffers())
    average.load_state_dict(cameras.state_dict(), strict=True)
    with torch.inference_mode():
        assert torch.equal(average.eval()(observation), cameras.eval()(observation))
        assert not torch.equal(cameras(observation)[:, :-2], found)


# ---- the file for Pythons that cannot install this package


def one_file():
    """docs/hosts/xdistill_resnet18.py, as a user's copy is imported."""
    spec = spec_from_file_location("xdistill_resnet18", ONE_FILE)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("images", RANGES)
def test_the_one_file_gives_the_encoders_features_of_every_range(encoder, pixels, images):
    model = one_file().resnet18(BUNDLED, images=images).eval()
    with torch.inference_mode():
        torch.testing.assert_close(model(RANGES[images](pixels / 255)), encoder(pixels), rtol=1e-4, atol=1e-4)


def test_the_one_file_takes_group_norm_and_freezes_by_the_names_of_children(random_encoder, tmp_path, pixels):
    encoder = random_encoder("group")
    folder = encoder.save_pretrained(tmp_path / "group")
    model = one_file().resnet18(folder, norm="group", freeze=["conv1", "bn1", "layer1"]).eval()
    frozen = {name.split(".")[0] for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert frozen == {"conv1", "bn1", "layer1"}
    with torch.inference_mode():
        torch.testing.assert_close(model(pixels / 127.5 - 1), encoder(pixels), rtol=1e-4, atol=1e-4)


def test_the_one_file_refuses_another_norm_or_range_and_weights_of_the_other_norm():
    with pytest.raises(ValueError, match="norm: expected one of frozen, group, got 'batch'"):
        one_file().resnet18(BUNDLED, norm="batch")
    with pytest.raises(ValueError, match="images: expected one of minus_one_to_one, .*got 'uint8'"):
        one_file().resnet18(BUNDLED, images="uint8")
    with pytest.raises(RuntimeError, match=r"Unexpected key.*running_mean"):
        one_file().resnet18(BUNDLED, norm="group")


def test_the_one_file_is_python_3_8_and_imports_nothing_of_this_package():
    tree = ast.parse(ONE_FILE.read_text(), feature_version=(3, 8))
    imported = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert {name.partition(".")[0] for name in imported} == {"os", "torch", "torchvision", "safetensors"}


@pytest.mark.parametrize("images", [torch.rand(2, 1, 64, 64), torch.rand(2, 3, 16, 64)])
def test_one_channel_which_would_be_broadcast_and_small_images_are_refused(images):
    told = rf"images: expected \(B, 3, H, W\) of at least 32 px, got shape {re.escape(str(tuple(images.shape)))}"
    for model in (resnet18(), one_file().resnet18(BUNDLED)):
        with pytest.raises(ValueError, match=told):
            model(images)


@pytest.mark.parametrize("freeze", ["layer1", ["stem"]])
def test_the_one_file_refuses_to_freeze_what_it_does_not_have(freeze):
    with pytest.raises(ValueError, match="freeze: expected a list of conv1, bn1, layer1 to layer4, got"):
        one_file().resnet18(BUNDLED, freeze=freeze)
