import pytest
import torch
from torch import Tensor

from distillation.cache.repairs import discard_repaired, require_nothing_repaired
from distillation.sources.decoding import DamagedImage
from tests.distillation.cache.conftest import DAMAGED


class Photos:
    """Eleven black images, some of them damaged."""

    fingerprint, shards = "1234", None

    def __init__(self, *damaged: int):
        self.damaged = damaged

    def __len__(self) -> int:
        return 11

    def read(self, index: int) -> Tensor:
        if index in self.damaged:
            raise DamagedImage("zero bytes")
        return torch.zeros(3, 48, 64, dtype=torch.uint8)

    def where(self, index: int) -> str:
        return f"{index}.png"


@pytest.mark.parametrize(
    ("share", "missing"),
    [(slice(None), [(0, 1), (1, 1)]), (slice(0, None, 2), [(0, 1)]), (slice(4, 6), [])],  # 6 lies in shard 1
)
def test_of_a_process_share_the_shards_without_a_readable_image_are_discarded(whole, share, missing):
    assert discard_repaired(whole, Photos(), whole.shards()[share]) == len(missing)
    assert whole.missing() == missing


def test_an_image_that_is_still_damaged_leaves_its_shards_as_they_are(whole):
    assert discard_repaired(whole, Photos(DAMAGED), whole.shards()) == 0
    assert whole.missing() == []


def test_a_cache_that_lacks_an_image_which_can_be_read_is_refused_before_a_run_comes_to_it(whole):
    require_nothing_repaired(whole, Photos(DAMAGED))
    with pytest.raises(
        ValueError, match=rf"1 images could not be read when .* can be now, the first of them {DAMAGED}.png"
    ):
        require_nothing_repaired(whole, Photos())
