import io
import itertools
import math
from dataclasses import fields, replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torchvision.transforms.v2 import functional as tvf

from distillation.views import AUGMENTATIONS, Augmentation, View, from_row, random_view, render, to_row

PAPER, STRONG = AUGMENTATIONS["paper"], AUGMENTATIONS["strong"]


def photograph(height: int, width: int) -> torch.Tensor:
    """(3, height, width) uint8 with structure of 16 px and more in every channel."""
    coarse = torch.rand(1, 3, height // 16, width // 16, generator=torch.Generator().manual_seed(0))
    return (tvf.resize(coarse, [height, width])[0] * 255).to(torch.uint8)


def test_a_view_depends_on_seed_epoch_and_index_and_on_nothing_else():
    first = [random_view(3, 1, index, (60, 80), STRONG) for index in range(50)]
    torch.manual_seed(99)
    np.random.seed(99)
    again = [random_view(3, 1, index, (60, 80), STRONG) for index in reversed(range(50))]
    assert first == again[::-1]
    assert first != [random_view(4, 1, index, (60, 80), STRONG) for index in range(50)]
    assert first != [random_view(3, 2, index, (60, 80), STRONG) for index in range(50)]
    assert len(set(first)) > 45


def reference_crop(seed: int, epoch: int, index: int, image_size: tuple[int, int]) -> tuple[int, int, int, int, bool]:
    """Box and flip as published encoders were trained with: the first five uniforms of the Philox stream."""
    share, shape, down, across, mirror = np.random.Generator(
        np.random.Philox(key=[seed, (epoch << 40) + index])
    ).random(5)
    area = image_size[0] * image_size[1] * (0.35 + 0.65 * share)
    aspect = math.exp(math.log(4 / 3) * (2 * shape - 1))
    height = min(image_size[0], max(1, round(math.sqrt(area / aspect))))
    width = min(image_size[1], max(1, round(math.sqrt(area * aspect))))
    top, left = int(down * (image_size[0] - height + 1)), int(across * (image_size[1] - width + 1))
    return top, left, height, width, bool(mirror < 0.5)


@pytest.mark.parametrize("augmentation", [PAPER, replace(STRONG, min_scale=PAPER.min_scale)])
def test_crop_and_flip_are_those_of_published_runs_whatever_else_is_drawn(augmentation):
    for index in range(200):
        view = random_view(3, 1, index, (84, 120), augmentation)
        assert (view.top, view.left, view.height, view.width, view.flip) == reference_crop(3, 1, index, (84, 120))
    assert random_view(12, 99, 1281166, (224, 160), PAPER) == View(16, 47, 126, 109, flip=True)


def test_the_paper_preset_leaves_colours_alone():
    for index in range(100):
        view = random_view(0, 0, index, (84, 120), PAPER)
        assert view == View(view.top, view.left, view.height, view.width, view.flip)


@pytest.mark.parametrize("image_size", [(84, 120), (1, 1), (1, 500), (500, 3)])
@pytest.mark.parametrize("augmentation", [PAPER, STRONG])
def test_boxes_lie_inside_the_image(image_size, augmentation):
    for index in range(200):
        view = random_view(0, 0, index, image_size, augmentation)
        assert 0 <= view.top < view.top + view.height <= image_size[0]
        assert 0 <= view.left < view.left + view.width <= image_size[1]


def test_boxes_cover_the_asked_share():
    views = [random_view(0, 0, index, (84, 120), PAPER) for index in range(500)]
    assert min(view.height * view.width for view in views) > 0.3 * 84 * 120  # 0.35, less what is cut at the border


@pytest.mark.parametrize("probability", [0.0, 0.3, 0.5, 1.0])
def test_flip_jitter_and_blur_happen_with_their_probability(probability):
    drawn_from = replace(STRONG, flip=probability, jitter_probability=probability, blur_probability=probability)
    views = [random_view(0, 0, index, (64, 64), drawn_from) for index in range(1000)]
    bound = 4.4 * math.sqrt(1000 * probability * (1 - probability))  # standard deviations
    for happened in (lambda view: view.flip, lambda view: view.hue != 0, lambda view: view.blur != 0):
        assert abs(sum(map(happened, views)) - 1000 * probability) <= bound


def test_flip_jitter_and_blur_happen_independently():
    drawn_from = replace(STRONG, jitter_probability=0.5)
    views = [random_view(0, 0, index, (64, 64), drawn_from) for index in range(800)]
    happened = [(view.flip, view.hue != 0, view.blur != 0) for view in views]
    for flip, jitter, blur in itertools.product([False, True], repeat=3):
        assert 59 < happened.count((flip, jitter, blur)) < 141  # 100, 4.4 standard deviations of a share of 1/8


def test_strengths_fill_their_ranges():
    views = [random_view(0, 0, index, (64, 64), STRONG) for index in range(2000)]
    for name, middle, strength in (
        ("brightness", 1, 0.4),
        ("contrast", 1, 0.4),
        ("saturation", 1, 0.2),
        ("hue", 0, 0.1),
    ):
        values = [getattr(view, name) - middle for view in views]
        assert -strength <= min(values) < -0.98 * strength < 0.98 * strength < max(values) <= strength
    blurs = [view.blur for view in views if view.blur != 0]
    assert STRONG.min_blur <= min(blurs) < max(blurs) <= STRONG.max_blur


@pytest.mark.parametrize(
    ("field", "value", "accepted"),
    [
        ("min_scale", 0, r"\(0, 1\]"),
        ("min_scale", 1.5, r"\(0, 1\]"),
        ("min_scale", math.nan, r"\(0, 1\]"),
        ("max_aspect", 0.5, r"\[1, inf\)"),
        ("max_aspect", math.inf, r"\[1, inf\)"),
        ("flip", -0.1, r"\[0, 1\]"),
        ("jitter_probability", 2, r"\[0, 1\]"),
        ("blur_probability", 2, r"\[0, 1\]"),
        ("brightness", 1.1, r"\[0, 1\]"),
        ("contrast", -1, r"\[0, 1\]"),
        ("saturation", 3, r"\[0, 1\]"),
        ("hue", 0.6, r"\[0, 0.5\]"),
        ("min_blur", -0.1, r"\[0, 0.1\]"),
        ("max_blur", 0.2, r"\[0, 0.1\]"),
    ],
)
def test_a_setting_out_of_range_is_refused_with_its_range(field, value, accepted):
    with pytest.raises(ValueError, match=f"{field}: expected a number in {accepted}, got {value}"):
        Augmentation(**{field: value})


def test_a_largest_blur_below_the_least_is_refused():
    with pytest.raises(ValueError, match=r"max_blur: expected a number in \[0.02, 0.1\], got 0.01"):
        Augmentation(min_blur=0.02, max_blur=0.01)


def test_rendering_crops_then_mirrors():
    image = torch.arange(3 * 6 * 8, dtype=torch.uint8).view(3, 6, 8)
    crop = image[:, 1:5, 2:6]
    assert torch.equal(render(image, View(1, 2, 4, 4, flip=False), 4), crop)
    assert torch.equal(render(image, View(1, 2, 4, 4, flip=True), 4), crop.flip(-1))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_rendering_is_torchvisions_crop_and_resize(interpolation):
    image = photograph(80, 96)
    crop = tvf.resize(tvf.crop(image, 3, 5, 70, 64), [48, 48], tvf.InterpolationMode(interpolation), antialias=True)
    assert torch.equal(render(image, View(3, 5, 70, 64, flip=False), 48, interpolation), crop)


@pytest.mark.parametrize(
    ("changed", "change"),
    [
        ({"brightness": 1.3}, lambda crop: tvf.adjust_brightness(crop, 1.3)),
        ({"contrast": 0.7}, lambda crop: tvf.adjust_contrast(crop, 0.7)),
        ({"saturation": 1.2}, lambda crop: tvf.adjust_saturation(crop, 1.2)),
        ({"hue": -0.1}, lambda crop: tvf.adjust_hue(crop, -0.1)),
        ({"blur": 2 / 64}, lambda crop: tvf.gaussian_blur(crop, [13, 13], [2.0, 2.0])),
    ],
)
def test_a_changed_view_is_torchvisions_to_a_grey_level(changed, change):
    image, view = photograph(64, 64), View(0, 0, 64, 64, flip=False)
    expected = change(render(image, view, 64).float() / 255) * 255
    rendered = render(image, replace(view, **changed), 64)
    assert rendered.dtype == torch.uint8
    assert (rendered - expected).abs().max() < 0.51  # rounded once
    assert not torch.equal(rendered, image)


def test_changes_are_made_in_their_order():
    image = photograph(64, 64)
    view = View(0, 0, 64, 64, flip=True, brightness=1.4, contrast=0.6, saturation=1.2, hue=0.1, blur=1 / 64)
    expected = image.flip(-1).float() / 255
    expected = tvf.adjust_contrast(tvf.adjust_brightness(expected, 1.4), 0.6)
    expected = tvf.adjust_hue(tvf.adjust_saturation(expected, 1.2), 0.1)
    expected = tvf.gaussian_blur(expected, [7, 7], [1.0, 1.0]) * 255
    assert (render(image, view, 64) - expected).abs().max() < 0.51


def test_the_memory_layout_of_an_image_does_not_change_its_view():
    image = photograph(80, 96)
    interleaved = image.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    for index in range(10):
        view = random_view(0, 0, index, (80, 96), STRONG)
        difference = render(image, view, 48).int() - render(interleaved, view, 48).int()
        assert difference.abs().max() <= 1


@pytest.mark.parametrize("augmentation", [PAPER, STRONG])
def test_a_view_is_the_same_at_every_size(augmentation):
    image = photograph(320, 400)
    for index in range(20):
        view = random_view(0, 0, index, (320, 400), augmentation)
        small, large = render(image, view, 96), render(image, view, 224)
        difference = (tvf.resize(large, [96, 96], antialias=True).float() - small.float()).abs()
        assert difference.mean() < 3  # of 255 grey levels; 2 are what clipping and hue do not share with averaging
        other = random_view(0, 1, index, (320, 400), augmentation)
        assert (render(image, other, 96).float() - small.float()).abs().mean() > 15  # what a wrong view would show


@pytest.mark.parametrize(
    ("box", "described"),
    [
        ((10, 0, 60, 40), "rows 10:70, columns 0:40"),
        ((0, 50, 60, 40), "rows 0:60, columns 50:90"),
        ((-1, 0, 60, 40), "rows -1:59, columns 0:40"),
        ((0, -1, 60, 40), "rows 0:60, columns -1:39"),
        ((5, 0, 0, 40), "rows 5:5, columns 0:40"),
    ],
)
def test_a_view_of_another_image_is_refused(box, described):
    with pytest.raises(ValueError, match=f"{described} are not inside an image of 60x80 px"):
        render(photograph(60, 80), View(*box, flip=False), 32)


def test_a_view_survives_parquet_exactly():
    views = [random_view(0, 0, index, (60, 80), STRONG) for index in range(50)]
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([{"index": 7} | to_row(view) for view in views]), file)
    rows = pq.read_table(file).to_pylist()
    assert [from_row(row) for row in rows] == views
    assert [field.name for field in fields(View)] == list(rows[0])[1:]


def test_a_view_is_read_from_numpy_scalars():
    view = random_view(0, 0, 0, (60, 80), STRONG)
    assert from_row({name: np.asarray(value)[()] for name, value in to_row(view).items()}) == view
