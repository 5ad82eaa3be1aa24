import pytest
import torch

from distillation.views import View, random_view, render


def test_a_view_depends_on_seed_epoch_and_index_and_on_nothing_else():
    first = [random_view(3, 1, index, (60, 80), 0.35) for index in range(50)]
    torch.manual_seed(99)
    again = [random_view(3, 1, index, (60, 80), 0.35) for index in reversed(range(50))]
    assert first == again[::-1]
    assert first != [random_view(4, 1, index, (60, 80), 0.35) for index in range(50)]
    assert first != [random_view(3, 2, index, (60, 80), 0.35) for index in range(50)]
    assert len(set(first)) > 45


def test_boxes_lie_inside_the_image_and_cover_the_asked_share():
    for index in range(500):
        view = random_view(0, 0, index, (84, 120), 0.35)
        assert 0 <= view.top <= view.top + view.height <= 84
        assert 0 <= view.left <= view.left + view.width <= 120
        assert view.height * view.width > 0.3 * 84 * 120  # 0.35, less what a box wider than the image loses


def test_half_of_the_views_are_mirrored():
    mirrored = sum(random_view(0, 0, index, (64, 64), 0.5).flip for index in range(1000))
    assert 430 < mirrored < 570  # 4.4 standard deviations of a fair coin


@pytest.mark.parametrize("share", [0, -0.1, 1.5])
def test_a_share_outside_0_to_1_is_refused(share):
    with pytest.raises(ValueError, match="min_scale: expected a share in"):
        random_view(0, 0, 0, (64, 64), share)


def test_rendering_crops_then_mirrors():
    image = torch.arange(3 * 6 * 8, dtype=torch.uint8).view(3, 6, 8)
    crop = image[:, 1:5, 2:6]
    assert torch.equal(render(image, View(1, 2, 4, 4, flip=False), 4), crop)
    assert torch.equal(render(image, View(1, 2, 4, 4, flip=True), 4), crop.flip(-1))


def test_student_and_teacher_see_the_same_crop():
    image = torch.zeros(3, 64, 64, dtype=torch.uint8)
    image[:, 16:48, 16:48] = 255
    view = View(16, 16, 32, 32, flip=True)
    assert render(image, view, 96).float().mean() == render(image, view, 224).float().mean() == 255
