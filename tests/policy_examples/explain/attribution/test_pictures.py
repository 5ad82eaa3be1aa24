import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from policy_examples.explain.attribution.focus import focus_of
from policy_examples.explain.attribution.pictures import (
    LABEL_PX,
    TILE_PX,
    draw_course,
    draw_strip,
    film,
    limits,
    outline,
    overlay,
    padded,
    tile,
)

FRAMES = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
MASKS = np.zeros((3, 32, 32), dtype=bool)
MASKS[:, 8:16, 4:20] = True
STEPS = [0, 4, 8]
MAPS = {
    ("grad-cam", "xdistill"): MASKS.astype(np.float32),
    ("grad-cam", "dinov2-s"): np.ones((3, 32, 32), np.float32),
}
ROWS = [
    focus_of(step, method, encoder, values[index], MASKS[index])
    for (method, encoder), values in MAPS.items()
    for index, step in enumerate(STEPS)
]


def test_without_saliency_a_frame_is_grey():
    shown = overlay(FRAMES[0], np.zeros((32, 32), np.float32))
    assert np.array_equal(shown, np.repeat(FRAMES[0].mean(-1).round().astype(np.uint8)[..., None], 3, axis=-1))


def test_colour_lies_where_saliency_is_and_nowhere_else():
    shown = overlay(FRAMES[0], MASKS[0].astype(np.float32)).astype(int)
    coloured = np.ptp(shown, axis=-1) > 0
    assert np.array_equal(coloured, MASKS[0])


def test_an_outline_is_the_border_of_the_mask():
    outlined = outline(FRAMES[0], MASKS[0])
    border = MASKS[0].copy()
    border[9:15, 5:19] = False
    assert np.array_equal((outlined == (255, 0, 255)).all(-1), border)
    assert np.array_equal(outlined[~border], FRAMES[0][~border])


def test_a_tile_is_the_picture_enlarged_below_its_label():
    labelled = tile(FRAMES[0], "step 0")
    assert labelled.shape == (LABEL_PX + TILE_PX, TILE_PX, 3)
    assert np.array_equal(labelled[LABEL_PX + 3 :: 7, 3::7], FRAMES[0])  # 7 px a pixel
    assert labelled[:LABEL_PX].max() > 200  # white letters


def test_tiles_of_long_labels_that_differ_at_the_end_differ():
    """As of two seeds of a benchmark."""
    tiles = [
        tile(FRAMES[0], "grad-cam", f"resnet18-scratch drawer-open/resnet18-scratch/seed-{seed}") for seed in (0, 1)
    ]
    assert not np.array_equal(tiles[0], tiles[1])


def test_a_tile_keeps_the_aspect_of_a_frame():
    wide = tile(np.full((10, 20, 3), 200, np.uint8), "step 0")[LABEL_PX:]
    rows, columns = np.nonzero(wide.max(axis=-1) > 100)
    assert (len(np.unique(rows)), len(np.unique(columns))) == (TILE_PX // 2, TILE_PX)


def test_a_video_s_sides_are_multiples_of_16_px():
    grown = padded(FRAMES[0][:31, :17])
    assert grown.shape == (32, 32, 3)
    assert np.array_equal(grown[:31, :17], FRAMES[0][:31, :17])
    assert grown[31:].max() == grown[:, 17:].max() == 0


def test_strip_course_and_film_are_written(tmp_path):
    draw_strip(FRAMES, MASKS, MAPS, ROWS, STEPS, "a title", tmp_path / "strip.png", columns=2)
    draw_course(ROWS, tmp_path / "over_time.png")
    film(FRAMES, MASKS, MAPS, STEPS, every=4, fps=50, path=tmp_path / "saliency.mp4")
    for name in ("strip.png", "over_time.png"):
        with Image.open(tmp_path / name) as image:
            assert min(image.size) > 100
    shown = next(imageio_ffmpeg.read_frames(str(tmp_path / "saliency.mp4")))
    assert (shown["fps"], shown["duration"]) == (50, pytest.approx(3 * 4 / 50, abs=0.01))


def test_an_axis_reaches_from_its_natural_end_to_the_tenth_beyond_its_numbers():
    assert limits([0.04, 0.27], "share") == pytest.approx((0, 0.3))
    assert limits([1.0], "share") == (0, 1)
    assert limits([0.83, 0.99], "entropy") == pytest.approx((0.8, 1))
    assert limits([0.0], "entropy") == (0, 1)
    assert limits([], "share") == limits([], "entropy") == (0, 1)


def test_frames_without_masks_have_a_strip_and_a_course_of_the_entropy_alone(tmp_path):
    rows = [focus_of(step, *key, MAPS[key][0], None) for key in MAPS for step in STEPS]
    draw_strip(FRAMES, None, MAPS, rows, STEPS, "a title", tmp_path / "strip.png", columns=8)
    assert (tmp_path / "strip.png").exists()
    draw_course(rows, tmp_path / "entropy.png")
    draw_course(ROWS, tmp_path / "both.png")
    with Image.open(tmp_path / "entropy.png") as alone, Image.open(tmp_path / "both.png") as both:
        assert both.width > 1.7 * alone.width
