"""Images through networks: features of a whole collection in memory."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from distillation.datasets import LabelledImages
from distillation.interrupts import outlive_sigterm
from distillation.scoring.corruptions import corrupted
from distillation.sources.decoding import DamagedImage

CLEAN = "clean"


class PreparedImages(Dataset):
    """Every image as the networks under test take it: a dict of (3, S, S) uint8, each image decoded once.

    Items hold CLEAN; the corruptions of it, where a seed for them is given; the entries of `others`. "damage" is the
    reason why an image cannot be read, or "".

    Args:
        images: what is read.
        prepare: (3, H, W) uint8 -> (3, S, S) uint8, for CLEAN.
        others: name -> the same for further networks.
        corruption_seed: of the noise; None leaves corruptions out.
    """

    def __init__(
        self,
        images: LabelledImages,
        prepare: Callable[[Tensor], Tensor],
        others: Mapping[str, Callable[[Tensor], Tensor]] | None = None,
        corruption_seed: int | None = None,
    ):
        self.images = images
        self.prepare = prepare
        self.others = dict(others or {})
        self.corruption_seed = corruption_seed

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Any]:
        damage = ""
        try:
            image = self.images.read(index)
        except DamagedImage as error:  # told by the main process: an exception in a worker arrives as a traceback
            damage = f"{self.images.where(index)}: {error}"
            image = torch.zeros(3, 64, 64, dtype=torch.uint8)
        clean = self.prepare(image)
        item = {"damage": damage, CLEAN: clean}
        if self.corruption_seed is not None:
            item |= corrupted(clean, self.corruption_seed, index)
        return item | {name: prepare(image) for name, prepare in self.others.items()}


@torch.inference_mode()
def embed(
    networks: Mapping[str, nn.Module],
    images: PreparedImages,
    device: torch.device,
    *,
    batch_size: int,
    workers: int,
    title: str,
    damaged: list[int] | None = None,
) -> dict[str, Tensor]:
    """Name of a view -> (N, D) float32 features on the CPU, by the network of that name.

    The global random state is left as it is, so that a training run may call this at any step.

    Args:
        damaged: takes the numbers of images that cannot be read, whose rows mean nothing; None: there must be none,
            because a score on fewer images is not comparable with others.

    Raises:
        ValueError: an image cannot be read, and `damaged` is None.
    """
    loader = DataLoader(
        images,
        batch_size=batch_size,
        num_workers=min(workers, os.cpu_count() or 1),
        pin_memory=device.type == "cuda",
        generator=torch.Generator(),
        worker_init_fn=outlive_sigterm,
    )
    features: dict[str, Tensor] = {}
    done = 0
    with tqdm(total=len(images), unit="img", unit_scale=True, desc=title, leave=False) as bar:
        for batch in loader:
            for position, damage in enumerate(batch["damage"]):
                if damage and damaged is None:
                    raise ValueError(f"{title}: an image cannot be read, {damage}; repair it or take it out")
                if damage and damaged is not None:
                    damaged.append(done + position)
            for name, network in networks.items():
                outputs = network(batch[name].to(device, non_blocking=True)).float()
                if name not in features:  # filled in place: a list of batches would need the memory twice
                    features[name] = torch.empty(len(images), outputs.shape[1])
                features[name][done : done + len(outputs)] = outputs.cpu()
            done += len(batch["damage"])
            bar.update(len(batch["damage"]))
    return features
