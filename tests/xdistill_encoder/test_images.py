import pytest
import torch
from torch.nn import functional as F

from xdistill_encoder import XDistillResNet18
from xdistill_encoder.images import IMAGENET_MEAN, IMAGENET_STD, ImageNormalizer


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return XDistillResNet18("batch").eval()


def image_batch(*leading: int) -> torch.Tensor:
    return torch.randint(0, 256, (*leading, 3, 48, 40), dtype=torch.uint8)


def test_uint8_and_float_views_of_one_image_give_the_same_features(encoder):
    images = image_batch(2)
    torch.testing.assert_close(encoder(images), encoder(images.float() / 255), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("dtype", "step"), [(torch.float16, 2**-11), (torch.bfloat16, 2**-8)])
def test_half_precision_images_are_normalised_in_the_dtype_of_the_encoder(dtype, step):
    images = image_batch(2).float() / 255
    halves = ImageNormalizer()(images.to(dtype))
    assert halves.dtype == torch.float32
    torch.testing.assert_close(halves, ImageNormalizer()(images), rtol=0, atol=step / min(IMAGENET_STD))


def test_the_normaliser_subtracts_the_imagenet_mean_then_divides_by_its_standard_deviation():
    images = image_batch(2)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    torch.testing.assert_close(ImageNormalizer()(images), (images / 255 - mean) / std)


def test_a_host_that_normalises_gets_no_second_normalisation(encoder):
    images = image_batch(2)
    host_normalises = XDistillResNet18("batch", inputs_normalized=True).eval()
    host_normalises.load_state_dict(encoder.state_dict())
    torch.testing.assert_close(host_normalises(ImageNormalizer()(images)), encoder(images))


@pytest.mark.parametrize("leading", [(1,), (2, 3), (2, 3, 2)])
def test_leading_axes_pass_through(encoder, leading):
    images = image_batch(*leading)
    features = encoder(images)
    assert features.shape == (*leading, 512)
    torch.testing.assert_close(features.flatten(0, -2), encoder(images.flatten(0, -4)))


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (224, 320)])
def test_any_size_from_32_px_up_is_accepted(encoder, size):
    assert encoder(torch.rand(1, 3, *size)).shape == (1, 512)


def test_channels_last_memory_and_strided_views_give_the_same_features(encoder):
    images = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(
        encoder(images.contiguous(memory_format=torch.channels_last)), encoder(images), rtol=1e-4, atol=1e-5
    )
    torch.testing.assert_close(encoder(images[..., ::2]), encoder(images[..., ::2].contiguous()))


REFUSED = {
    "channels last": (torch.rand(2, 64, 48, 3), r"got shape \(2, 64, 48, 3\).*channels last.*movedim\(-1, -3\)"),
    "one channel": (torch.rand(2, 1, 64, 64), r"got shape \(2, 1, 64, 64\).*repeat the channel"),
    "grey, channels last": (torch.rand(2, 64, 64, 1), r"repeat the channel"),
    "four channels": (torch.rand(2, 4, 64, 64), r"got shape \(2, 4, 64, 64\).*alpha or depth"),
    "stacked frames": (torch.rand(2, 6, 64, 64), r"stacked frames.*\(B, T, 3, H, W\)"),
    "no batch axis": (torch.rand(3, 64, 64), r"got shape \(3, 64, 64\).*images\[None\]"),
    "a matrix": (torch.rand(64, 64), r"got shape \(64, 64\)"),
    "empty batch": (torch.rand(0, 3, 64, 64), r"the batch is empty, got shape \(0, 3, 64, 64\)"),
    "empty time axis": (torch.rand(2, 0, 3, 64, 64), r"the batch is empty"),
    "too small": (torch.rand(2, 3, 31, 64), r"at least 32 px, got shape \(2, 3, 31, 64\)"),
    "int64": (torch.zeros(2, 3, 64, 64, dtype=torch.int64), r"got torch.int64.*torch.uint8"),
    "int8": (torch.zeros(2, 3, 64, 64, dtype=torch.int8), r"got torch.int8"),
    "bool": (torch.zeros(2, 3, 64, 64, dtype=torch.bool), r"got torch.bool"),
    "float64": (torch.rand(2, 3, 64, 64, dtype=torch.float64), r"got torch.float64.*images.float\(\)"),
    "float in [0, 255]": (torch.rand(2, 3, 64, 64) * 255, r"look like \[0, 255\]: divide by 255 or pass uint8"),
    "ImageNet-normalised": (torch.randn(2, 3, 64, 64).clamp(-2, 2), r"look normalised already.*inputs_normalized=True"),
    "Gaussian noise": (torch.linspace(-4.5, 4.5, 2 * 3 * 64 * 64).view(2, 3, 64, 64), r"neither .* nor .*: rescale"),
    "in [-1, 1]": (torch.rand(2, 3, 64, 64) * 2 - 1, r"look like \[-1, 1\]: pass \(images \+ 1\) / 2"),
    "in [0, 1] with noise": (torch.rand(2, 3, 64, 64) * 1.4 - 0.2, r"noise or overshoot, pass images.clamp\(0, 1\)"),
    "in [0, 1] with strong noise": (torch.rand(2, 3, 64, 64) * 3 - 1, r"look normalised already.*strong noise, clamp"),
    "one image, channels last": (torch.zeros(64, 64, 3), r"images.movedim\(-1, -3\)\[None\]"),
    "16 bits": (torch.zeros(2, 3, 64, 64, dtype=torch.int32), r"16-bit ones as images.float\(\) / 65535"),
    "NaN": (torch.full((2, 3, 64, 64), float("nan")), r"NaN among the pixels"),
    "one infinite pixel": (
        torch.rand(2, 3, 64, 64).index_fill(3, torch.tensor(5), float("inf")),
        r"rescale to \[0, 1\]",
    ),
    "a list": ([[1.0]], r"expected a torch.Tensor \(B, 3, H, W\), got list"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_contract_excludes_is_refused_with_what_came_and_what_to_do(encoder, case):
    images, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        encoder(images)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("position", [0, 1000, -1])
def test_a_single_nan_anywhere_is_found_in_every_float_dtype(dtype, position):
    images = torch.rand(2, 3, 48, 48, dtype=dtype)
    images.view(-1)[position] = float("nan")
    with pytest.raises(ValueError, match="NaN"):
        ImageNormalizer()(images)


@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
def test_the_overshoot_of_resampling_passes(mode):
    edges = torch.zeros(1, 3, 64, 64)
    edges[..., 32:] = 1  # the sharpest edge there is
    resized = F.interpolate(edges, size=(96, 96), mode=mode, antialias=True)
    assert mode == "bilinear" or resized.max() > 1.03
    ImageNormalizer()(resized)


def test_a_host_that_normalises_may_not_pass_raw_bytes_or_the_255_range():
    encoder = ImageNormalizer(inputs_normalized=True)
    with pytest.raises(ValueError, match="inputs_normalized=True.*got torch.uint8"):
        encoder(image_batch(2))
    with pytest.raises(ValueError, match="ImageNet-normalised floats, got torch.float32"):
        encoder(image_batch(2).float())


def test_every_raw_image_is_inside_the_accepted_range_once_normalised():
    corners = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 3, 32, 32)
    ImageNormalizer(inputs_normalized=True)(ImageNormalizer()(corners))


def test_the_range_check_can_be_switched_off_and_the_layout_check_stays():
    unchecked = ImageNormalizer(check_values=False)
    unchecked(torch.rand(1, 3, 32, 32) * 255)
    with pytest.raises(ValueError, match="channels last"):
        unchecked(torch.rand(1, 32, 32, 3))
