import pytest

from distillation.explaining.spreading import spread, with_shown


@pytest.mark.parametrize(
    ("length", "count", "expected"), [(10, 2, [0, 5]), (3, 7, [0, 1, 2]), (7, 3, [0, 2, 4]), (1, 1, [0])]
)
def test_places_lie_at_equal_distances_from_the_first_on(length, count, expected):
    assert spread(length, count) == expected


def test_shown_images_come_first_each_once():
    assert with_shown([4, 0], [0, 2, 4, 6]) == [4, 0, 2, 6]
