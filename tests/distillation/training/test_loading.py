import multiprocessing
import os
import subprocess

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from distillation.datasets import Views, open_images
from distillation.training.batches import Key
from distillation.training.loading import stream, told
from distillation.views import AUGMENTATIONS

KEYS: list[list[Key]] = [[(index, view, 32) for index in (0, 5, 3, 11)] for view in range(8)]


@pytest.fixture
def views(parquet) -> Views:
    return Views(open_images([parquet]), 0, AUGMENTATIONS["paper"])


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_the_views_of_their_keys_in_that_order(views, workers):
    batches = list(stream(views, KEYS, workers))
    assert len(batches) == len(KEYS)
    for batch, keys in zip(batches, KEYS, strict=True):
        assert torch.equal(batch["student"], torch.stack([views[key]["student"] for key in keys]))
        assert batch["index"].tolist() == [0, 5, 3, 11]


def test_there_is_at_most_one_worker_a_core_and_none_after_the_stream_is_closed(views, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    batches = stream(views, KEYS, workers=1000)
    next(batches)
    (worker,) = multiprocessing.active_children()
    batches.close()
    assert not worker.is_alive()


def test_a_signal_to_all_processes_of_a_run_does_not_stop_its_workers(views):
    batches = stream(views, KEYS, workers=1)
    first = next(batches)
    (worker,) = multiprocessing.active_children()
    for name in ("INT", "TERM"):  # as Ctrl-C and a scheduler do; sent by another process than its parent
        subprocess.run(["sh", "-c", f"kill -{name} {worker.pid}"], check=True)
    assert len([first, *batches]) == len(KEYS)


class Unreadable(Dataset):
    def __len__(self):
        return 1

    def __init__(self, kind):
        self.kind = kind

    def __getitem__(self, index):
        raise self.kind("queries: an image cannot be read, /x/y.png: ValueError: too large; take it out")


@pytest.mark.parametrize("kind", [ValueError, OSError])
@pytest.mark.parametrize("workers", [0, 1])
def test_what_an_error_says_is_all_of_it_and_of_a_workers_traceback_what_it_raised(workers, kind):
    with pytest.raises(kind) as caught:
        next(iter(DataLoader(Unreadable(kind), num_workers=workers)))
    assert ("Traceback" in str(caught.value)) == bool(workers)
    assert told(caught.value) == "queries: an image cannot be read, /x/y.png: ValueError: too large; take it out"
