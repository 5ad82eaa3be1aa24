import io

import numpy as np
import pytest
import torch
from PIL import Image

from distillation.cache.shards import PARAMETERS
from distillation.cache.store import TargetCache
from distillation.cache.views import CacheViews, RenderSize, ShardBatches, view_loader
from distillation.datasets import open_images
from distillation.views import from_row, random_view, render


def test_an_item_is_the_view_of_its_number_rendered_at_each_size(photos, cache_facts):
    views = CacheViews(photos, cache_facts(), [(32, "bicubic"), (16, "bilinear")])
    image = photos.read(5)
    drawn = random_view(7, 1, 5, (image.shape[1], image.shape[2]), cache_facts().augmentation)
    item = views[1, 5]
    assert (item["view"], item["index"], item["valid"]) == (1, 5, True)
    assert from_row(dict(zip(PARAMETERS, item["parameters"].tolist(), strict=True))) == drawn
    first, second = item["rendered"]
    assert torch.equal(first, render(image, drawn, 32, "bicubic"))
    assert torch.equal(second, render(image, drawn, 16, "bilinear"))
    assert len(views) == 24


def test_the_item_of_a_damaged_image_is_zeros_that_are_not_valid(tmp_path, cache_facts):
    encoded = io.BytesIO()
    Image.fromarray(np.full((40, 48, 3), 200, np.uint8)).save(encoded, "PNG")
    (tmp_path / "0.png").write_bytes(encoded.getvalue())
    (tmp_path / "1.png").write_bytes(encoded.getvalue()[:30])
    views = CacheViews(open_images((str(tmp_path),)), cache_facts(), [(32, "bicubic"), (16, "bilinear")])
    whole, damaged = views[0, 0], views[0, 1]
    assert (whole["valid"], damaged["valid"], damaged["index"]) == (True, False, 1)
    assert torch.equal(damaged["parameters"], torch.zeros_like(whole["parameters"]))
    for zeros, rendered in zip(damaged["rendered"], whole["rendered"], strict=True):
        assert torch.equal(zeros, torch.zeros_like(rendered))


def test_the_last_row_of_a_shard_fills_up_its_last_batch(tmp_path, cache_facts):
    cache = TargetCache(tmp_path, cache_facts())
    batches = ShardBatches(cache, [(0, 1), (1, 2)], batch_size=3)
    assert list(batches) == [
        [(0, 4), (0, 5), (0, 6)],
        [(0, 7), (0, 7), (0, 7)],
        [(1, 8), (1, 9), (1, 10)],
    ]
    assert len(batches) == 3


def test_a_shard_that_another_process_has_written_is_left_out(tmp_path, cache_facts, write_rows):
    cache = TargetCache(tmp_path, cache_facts())
    batches = iter(ShardBatches(cache, cache.shards(), batch_size=4))
    assert next(batches)[0] == (0, 0)
    write_rows(cache, 1, 0)
    assert next(batches)[0] == (0, 4)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_items_stacked_whichever_process_made_them(unbuilt, photos, workers):
    sizes: list[RenderSize] = [(32, "bicubic"), (16, "bilinear")]
    loader = view_loader(unbuilt, photos, sizes, [(1, 2)], batch_size=3, workers=workers, pin_memory=False)
    views = CacheViews(photos, unbuilt.facts, sizes)
    batches = list(loader)
    assert [batch["index"].tolist() for batch in batches] == [[20, 21, 22], [23, 23, 23]]
    for batch in batches:
        assert batch["view"].tolist() == [1, 1, 1]
        items = [views[1, index] for index in batch["index"].tolist()]
        assert torch.equal(batch["parameters"], torch.stack([item["parameters"] for item in items]))
        for number, rendered in enumerate(batch["rendered"]):
            assert torch.equal(rendered, torch.stack([item["rendered"][number] for item in items]))
