import numpy as np
import pytest

from policy_examples.explain.attribution.focus import Focus, entropy, focus_of, share_inside, summarize, write_csv

MASK = np.zeros((4, 4), dtype=bool)
MASK[1:3, 1:3] = True  # a quarter of the frame


def test_saliency_inside_the_mask_has_a_share_of_1_and_outside_of_0():
    assert share_inside(MASK.astype(np.float32), MASK) == 1
    assert share_inside((~MASK).astype(np.float32), MASK) == 0


def test_an_even_map_has_the_area_as_its_share():
    assert focus_of(0, "grad-cam", "xdistill", np.full((4, 4), 0.3, np.float32), MASK).share == pytest.approx(0.25)


def test_a_crop_is_judged_by_what_the_encoder_sees():
    """An even map over the middle 4 of 8 px: a quarter of these are the object's, a sixteenth of the frame's."""
    frame, mask = np.zeros((8, 8), np.float32), np.zeros((8, 8), dtype=bool)
    frame[2:6, 2:6] = 0.3
    mask[3:5, 3:5] = True
    found = focus_of(0, "grad-cam", "xdistill", frame, mask, crop_px=(4, 4))
    assert (found.share, found.area, found.entropy) == pytest.approx((0.25, 0.25, 1.0))


def test_entropy_is_1_of_an_even_map_and_0_of_a_single_pixel():
    """Two pixels of sixteen: log 2 / log 16 = 1 / 4."""
    single, two = np.zeros((4, 4), np.float32), np.zeros((4, 4), np.float32)
    single[2, 2] = two[0, 0] = two[3, 3] = 5
    assert entropy(np.full((4, 4), 0.3, np.float32)) == pytest.approx(1)
    assert entropy(single) == 0
    assert entropy(two) == pytest.approx(0.25)


def test_a_map_of_zeros_has_neither_share_nor_entropy():
    assert focus_of(3, "grad-cam", "xdistill", np.zeros((4, 4), np.float32), MASK) == Focus(
        3, "grad-cam", "xdistill", None, 0.25, None
    )


def test_a_summary_is_the_mean_of_the_steps_that_show_an_object():
    rows = [
        Focus(0, "grad-cam", "xdistill", share=0.6, area=0.2, entropy=0.5),
        Focus(4, "grad-cam", "xdistill", share=0.2, area=0.2, entropy=0.7),
        Focus(8, "grad-cam", "xdistill", share=None, area=0.9, entropy=None),  # a map of zeros
        Focus(12, "grad-cam", "xdistill", share=0.0, area=0.0, entropy=0.6),  # nothing of the object in sight
        Focus(0, "grad-cam", "dinov2-s", share=None, area=None, entropy=0.9),  # no mask
    ]
    first, second = summarize(rows)
    assert (first.share, first.area, first.lift) == pytest.approx((0.4, 0.2, 2.0))
    assert first.entropy == pytest.approx(0.6)
    assert (first.steps, first.blank) == (2, 1)
    assert "40.0% on task objects, which are 20.0% of what it sees (x 2.0)   1 frames without any" in str(first)
    assert (second.share, second.lift, second.steps) == (None, None, 0)
    assert str(second).endswith("entropy 0.90")


def test_a_table_leaves_empty_what_there_is_nothing_to_state_of(tmp_path):
    write_csv([Focus(0, "grad-cam", "xdistill", None, 0.25, None)], tmp_path / "saliency.csv")
    assert (tmp_path / "saliency.csv").read_text() == (
        "step,method,encoder,share,area,entropy\n0,grad-cam,xdistill,,0.25,\n"
    )
