import pytest
import torch

from distillation.explaining.neighbours import nearest

BANK = torch.randn(20, 6, generator=torch.Generator().manual_seed(0))


def test_the_nearest_neighbour_of_an_image_is_itself_when_it_is_in_the_set():
    places, cosines = nearest(BANK, BANK, 3)
    assert places[:, 0].tolist() == list(range(20))
    torch.testing.assert_close(cosines[:, 0], torch.ones(20))
    assert (cosines[:, 0] >= cosines[:, 1]).all()


def test_an_image_that_is_left_out_is_not_among_its_neighbours():
    places, _ = nearest(BANK[:4], BANK, 19, own=torch.arange(4))
    for own, found in enumerate(places.tolist()):
        assert sorted([own, *found]) == list(range(20))


def test_cosines_are_torchs_and_lengths_do_not_matter():
    places, cosines = nearest(3 * BANK[:2], BANK * torch.arange(1, 21)[:, None], 5)
    for query, found, values in zip(BANK[:2], places, cosines, strict=True):
        torch.testing.assert_close(torch.cosine_similarity(query[None], BANK[found]), values)


def test_of_equally_similar_images_the_first_comes_first():
    assert nearest(torch.ones(1, 2), torch.ones(5, 2), 3)[0].tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("count", [0, 20])
def test_more_neighbours_than_there_are_images_are_refused(count):
    with pytest.raises(ValueError, match=f"expected 1 to 19, as many as the set of images has, got {count}"):
        nearest(BANK[:1], BANK, count, own=torch.tensor([0]))
