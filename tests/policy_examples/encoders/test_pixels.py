import numpy as np
import pytest
import torch
from PIL import Image

from policy_examples.encoders.pixels import PixelInput, Preparation

HALF = (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("interpolation", "side"), [("bilinear", 32), ("bicubic", 32), ("bilinear", 84), ("bicubic", 84)]
)
def test_a_frame_is_resized_as_pillow_resizes_it(interpolation, side, frames):
    frame = frames[0, 0]  # (3, 48, 48)
    given = PixelInput(Preparation(side, 1, interpolation, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)))(frame[None])[0]
    image = Image.fromarray(frame.permute(1, 2, 0).numpy())
    pillows = np.asarray(image.resize((side, side), getattr(Image.Resampling, interpolation.upper())))
    # Pillow rounds to whole grey levels after its horizontal pass, then again after the vertical one
    torch.testing.assert_close(given * 255, torch.tensor(pillows).permute(2, 0, 1).float(), atol=1.25, rtol=0)


def test_the_mean_becomes_zero_at_the_scale_of_the_deviation():
    inputs = PixelInput(Preparation(32, 16, "bilinear", HALF, HALF))
    white, grey = torch.full((1, 3, 32, 32), 255, dtype=torch.uint8), torch.full((1, 3, 32, 32), 0.5)
    assert torch.equal(inputs(white), torch.ones(1, 3, 32, 32))
    assert torch.equal(inputs(grey), torch.zeros(1, 3, 32, 32))


def test_uint8_and_float_frames_of_one_image_are_the_same(frames):
    inputs = PixelInput(Preparation(56, 14, "bicubic"))
    torch.testing.assert_close(inputs(frames[:, 0]), inputs(frames[:, 0] / 255))


def test_bicubic_overshoot_is_cut_as_an_image_file_cuts_it():
    edge = torch.zeros(1, 3, 32, 32)
    edge[..., 16:] = 1
    resized = PixelInput(Preparation(64, 1, "bicubic", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)))(edge)
    assert (resized.amin().item(), resized.amax().item()) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.full((1, 3, 32, 32), 200.0), r"these look like \[0, 255\]: divide by 255 or pass uint8"),
        (torch.full((1, 3, 32, 32), -1.5), "these look normalised already"),
        (torch.zeros(1, 3, 32, 32, dtype=torch.int64), "expected uint8 in .*, got torch.int64"),
        (torch.zeros(1, 32, 32, 3), "these look channels last"),
    ],
)
def test_what_the_product_refuses_is_refused(images, message):
    with pytest.raises(ValueError, match=message):
        PixelInput(Preparation(32, 16, "bilinear"))(images)


@pytest.mark.parametrize("side", [16, 100])
def test_a_side_that_holds_no_whole_patches_is_refused(side):
    with pytest.raises(
        ValueError, match=rf"image_size_px: expected a multiple of 16 px, the patch, from 32 up, got {side}"
    ):
        Preparation(side, 16, "bilinear")
