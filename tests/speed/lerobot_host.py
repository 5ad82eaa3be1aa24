"""What the encoder changes inside LeRobot, measured by LeRobot's own policies; run by the Python of its environment.

    PYTHONPATH=. ENV/bin/python tests/speed/lerobot_host.py --root DATASET --csv docs/hosts/lerobot.csv

`xdistill demos` and `xdistill convert --format lerobot` make the data set. For Diffusion and ACT, from random weights
with group norm and from the encoder's of both norms: the loss of the same number of steps on the same batches, and on
episodes that were held out; the time of one decision, from an observation on. Appends a row every `--every` steps.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lerobot  # pyright: ignore[reportMissingImports]
import torch
from host_rows import append_row
from lerobot.configs.types import FeatureType  # pyright: ignore[reportMissingImports]
from lerobot.datasets.factory import resolve_delta_timestamps  # pyright: ignore[reportMissingImports]
from lerobot.datasets.lerobot_dataset import (  # pyright: ignore[reportMissingImports]
    LeRobotDataset,
    LeRobotDatasetMetadata,
)
from lerobot.datasets.utils import dataset_to_policy_features  # pyright: ignore[reportMissingImports]
from lerobot.policies.factory import make_pre_post_processors  # pyright: ignore[reportMissingImports]
from torch.utils.data import DataLoader

from xdistill_encoder.hosts.lerobot import (
    XDistillACTConfig,
    XDistillACTPolicy,
    XDistillDiffusionConfig,
    XDistillDiffusionPolicy,
)
from xdistill_encoder.images import IMAGENET_MEAN, IMAGENET_STD

NAME = "local/demonstrations"
KINDS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "diffusion": (
        XDistillDiffusionConfig,
        XDistillDiffusionPolicy,
        {"horizon": 16, "n_action_steps": 8, "down_dims": (64, 128, 256), "use_separate_rgb_encoder_per_camera": False},
    ),
    "act": (XDistillACTConfig, XDistillACTPolicy, {"chunk_size": 16, "n_action_steps": 8, "dim_model": 256}),
}
STARTS: dict[str, tuple[bool, str]] = {
    "random, group norm": (False, "group"),
    "xdistill, frozen": (True, "frozen"),
    "xdistill, group norm": (True, "group"),
}
HELD_OUT = 2
"""Episodes, the last ones."""


def statistics_of(metadata: Any) -> dict[str, Any]:
    """The data set's statistics, images with ImageNet's, as `lerobot-train` sets them."""
    stats = {key: dict(value) for key, value in metadata.stats.items()}
    for camera in metadata.camera_keys:
        stats[camera]["mean"] = torch.tensor(IMAGENET_MEAN).view(3, 1, 1)
        stats[camera]["std"] = torch.tensor(IMAGENET_STD).view(3, 1, 1)
    return stats


def batches(dataset: Any, size: int, seed: int) -> Iterator[dict[str, Any]]:
    """Shuffled batches without an end, the same for every policy."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield from DataLoader(dataset, batch_size=size, shuffle=True, drop_last=True, generator=generator)


def held_out_loss(policy: Any, preprocess: Any, dataset: Any, size: int) -> float:
    """Mean loss over the batches of held-out episodes, noise and crops drawn alike for every policy and every time."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        losses = [policy.forward(preprocess(batch))[0].item() for batch in DataLoader(dataset, batch_size=size)]
    return statistics.mean(losses)


def decision_ms(policy: Any, preprocess: Any, dataset: Any) -> float:
    """Median time of a decision with an empty queue, batch of one, dropout and crops at rest."""
    policy.eval()
    item = dataset[0]
    observation = {key: value[-1:] if value.ndim == 4 else value for key, value in item.items() if "observation" in key}
    observation = {key: value if value.ndim != 2 else value[-1] for key, value in observation.items()}
    observation = {key: value[0] if value.ndim == 4 else value for key, value in observation.items()}
    times = []
    with torch.random.fork_rng(devices=[]):
        for _ in range(12):
            policy.reset()
            began = time.perf_counter()
            policy.select_action(preprocess(dict(observation)))
            times.append(1e3 * (time.perf_counter() - began))
    policy.train()
    return statistics.median(times[2:])


def measure(options: argparse.Namespace, kind: str, start: str, seed: int) -> Iterator[dict[str, Any]]:
    """One policy, trained and timed: a row every `options.every` steps."""
    config_class, policy_class, sizes = KINDS[kind]
    load, norm = STARTS[start]
    metadata = LeRobotDatasetMetadata(NAME, root=options.root)
    features = dataset_to_policy_features(metadata.features)
    config = config_class(
        input_features={name: each for name, each in features.items() if each.type is not FeatureType.ACTION},
        output_features={"action": features["action"]},
        device="cpu",
        encoder_norm=norm,
        **sizes,
    )
    windows = resolve_delta_timestamps(config, metadata)
    last = metadata.total_episodes - HELD_OUT
    parts = [
        LeRobotDataset(NAME, root=options.root, delta_timestamps=windows, episodes=list(episodes))
        for episodes in (range(last), range(last, metadata.total_episodes))
    ]
    stats = statistics_of(metadata)
    torch.manual_seed(seed)
    policy = policy_class(config, dataset_stats=stats, load_encoder=load).train()
    preprocess, _ = make_pre_post_processors(config, dataset_stats=stats)
    optimizer = torch.optim.AdamW(policy.get_optim_params(), lr=options.lr)
    torch.manual_seed(seed)  # the same noise and crops for all, whatever their backbones drew
    losses, seconds, began = [], 0.0, time.monotonic()
    for step, batch in zip(range(options.steps), batches(parts[0], options.batch_size, seed), strict=False):
        loss = policy.forward(preprocess(batch))[0]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        print(f"\r{kind}, {start}, seed {seed}: step {step + 1}, loss {losses[-1]:.4f}", end="", file=sys.stderr)
        if (step + 1) % options.every == 0 or step + 1 == options.steps:
            seconds += time.monotonic() - began
            yield {
                "policy": kind,
                "encoder": start,
                "seed": seed,
                "steps": step + 1,
                "batch_size": options.batch_size,
                "loss_of_last_50_steps": f"{statistics.mean(losses[-50:]):.4f}",
                "held_out_loss": f"{held_out_loss(policy, preprocess, parts[1], options.batch_size):.4f}",
                "decision_ms": f"{decision_ms(policy, preprocess, parts[1]):.1f}",
                "minutes": f"{seconds / 60:.1f}",
            }
            began = time.monotonic()


def main() -> None:
    """Read the command line, measure all policies, add their rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="a LeRobotDataset")
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--every", type=int, default=100, help="steps between two rows of a run")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--policies", nargs="+", choices=KINDS, default=list(KINDS))
    options = parser.parse_args()
    for seed in options.seeds:
        for kind in options.policies:
            for start in STARTS:
                for row in measure(options, kind, start, seed):
                    append_row(options.csv, row, f"lerobot {lerobot.__version__}")


if __name__ == "__main__":
    main()
