import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoBackbone, AutoImageProcessor, AutoModel, PretrainedConfig, PreTrainedModel, ResNetBackbone

from tests.xdistill_encoder.hub_server import serving
from xdistill_encoder import CheckpointError, XDistillResNet18
from xdistill_encoder.hosts.transformers import export_transformers


class Robot(PreTrainedModel):
    """A model of somebody's own that holds the encoder."""

    config_class = PretrainedConfig

    def __init__(self, config):
        super().__init__(config)
        self.encoder = XDistillResNet18("frozen", teacher_features=8)
        self.post_init()


def test_an_encoder_inside_a_transformers_model_comes_back_with_its_features(random_encoder, pixels, tmp_path):
    robot = Robot(PretrainedConfig())
    robot.encoder.load_state_dict(random_encoder().state_dict())
    robot.save_pretrained(tmp_path)
    with torch.inference_mode():
        assert torch.equal(Robot.from_pretrained(tmp_path).eval().encoder(pixels), robot.eval().encoder(pixels))


class Started(PreTrainedModel):
    """One whose encoder starts from a checkpoint, beside a head that transformers draws; it cannot be loaded again."""

    config_class = PretrainedConfig

    def __init__(self, config):
        super().__init__(config)
        self.encoder = XDistillResNet18.from_pretrained(config.checkpoint)
        self.head = torch.nn.Linear(512, 7)
        self.post_init()


def test_a_pretrained_encoder_inside_a_transformers_model_keeps_its_weights(random_encoder, tmp_path):
    saved = random_encoder().save_pretrained(tmp_path / "encoder")
    started = Started(PretrainedConfig(checkpoint=str(saved)))
    expected = XDistillResNet18.from_pretrained(saved).state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in started.encoder.state_dict().items())
    assert started.head.bias.abs().max() == 0  # drawn by transformers: torch's own is not


def test_weights_asked_for_while_transformers_loads_a_model_are_refused_with_the_way_that_there_is(
    random_encoder, tmp_path
):
    saved = random_encoder().save_pretrained(tmp_path / "encoder")
    Started(PretrainedConfig(checkpoint=str(saved))).save_pretrained(tmp_path / "started")
    with pytest.raises(
        CheckpointError, match=r"build XDistillResNet18\('frozen', teacher_features=8\) there, and load"
    ):
        Started.from_pretrained(tmp_path / "started")


@pytest.fixture
def folder(encoder, tmp_path):
    return export_transformers(encoder, tmp_path / "transformers")


def test_uint8_images_through_processor_and_model_give_the_encoders_features(encoder, folder, pixels):
    processor = AutoImageProcessor.from_pretrained(folder)
    model, info = AutoModel.from_pretrained(folder, output_loading_info=True)
    assert not any(info[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    pictures = [np.ascontiguousarray(picture) for picture in pixels.movedim(1, -1).numpy()]
    inputs = processor(pictures, return_tensors="pt")
    assert inputs["pixel_values"].shape == pixels.shape  # no resize, no crop
    with torch.inference_mode():
        outputs = model.eval()(**inputs)
        torch.testing.assert_close(outputs.pooler_output.flatten(1), encoder(pixels), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(outputs.last_hidden_state, encoder.forward_features(pixels), rtol=1e-4, atol=1e-4)


def test_a_backbone_gives_the_pyramid_from_a_folder_and_from_the_hub(encoder, folder, pixels, normalised):
    stages = ["stage1", "stage2", "stage3", "stage4"]
    with serving() as hub:
        hub.add("robots/encoder", {file.name: file.read_bytes() for file in folder.iterdir()})
        backbones = [
            ResNetBackbone.from_pretrained(folder, out_features=stages),
            AutoBackbone.from_pretrained(
                "robots/encoder", out_features=stages
            ),  # transformers 5 looks on the Hub alone
        ]
    with torch.inference_mode():
        for backbone in backbones:
            maps = backbone.eval()(normalised).feature_maps
            for theirs, ours in zip(maps, encoder.forward_pyramid(pixels), strict=True):
                torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-4)


def test_group_norm_is_refused_with_the_way_that_there_is(random_encoder, tmp_path):
    with pytest.raises(ValueError, match="transformers' ResNet has batch norm alone.*timm folder"):
        export_transformers(random_encoder("group"), tmp_path / "transformers")
    assert not (tmp_path / "transformers").exists()


@pytest.mark.parametrize("mode", ["RGBA", "L", "P"])
def test_pictures_of_other_modes_become_rgb(folder, mode):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)).convert(mode)
    processor = AutoImageProcessor.from_pretrained(folder)
    inputs = processor(picture, return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(inputs, processor(picture.convert("RGB"), return_tensors="pt")["pixel_values"])
    assert inputs.shape == (1, 3, 48, 64)
