"""Read, train on, and write data sets with LeRobot itself, in an environment that holds it.

`python3.11 -m venv ENV && ENV/bin/pip install lerobot==0.4.4` makes the environment. Arrays go to a .npz file; the last
line printed is JSON.
"""

import argparse
import json
from pathlib import Path

import lerobot  # pyright: ignore[reportMissingImports]
import numpy as np
import torch
from lerobot.configs.types import FeatureType  # pyright: ignore[reportMissingImports]
from lerobot.datasets.factory import resolve_delta_timestamps  # pyright: ignore[reportMissingImports]
from lerobot.datasets.lerobot_dataset import LeRobotDataset  # pyright: ignore[reportMissingImports]
from lerobot.datasets.utils import dataset_to_policy_features  # pyright: ignore[reportMissingImports]
from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig  # pyright: ignore[reportMissingImports]
from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy  # pyright: ignore[reportMissingImports]
from lerobot.policies.factory import make_pre_post_processors  # pyright: ignore[reportMissingImports]

NAME = "local/demonstrations"


def read(root: Path, output: Path) -> dict[str, object]:
    """Every step in order, as LeRobot gives it: images (3, H, W) in [0, 1]."""
    dataset = LeRobotDataset(NAME, root=root)
    steps = [dataset[index] for index in range(len(dataset))]
    names = [name for name in steps[0] if name.startswith("observation.") or name == "action"]
    arrays = {name: torch.stack([step[name] for step in steps]).numpy() for name in (*names, "episode_index")}
    np.savez(output, **arrays)  # type: ignore[arg-type]
    return {"tasks": sorted({step["task"] for step in steps}), "episodes": dataset.num_episodes}


def train(root: Path) -> dict[str, object]:
    """One optimizer step of a small DiffusionPolicy with LeRobot's own windows and normalisation."""
    torch.manual_seed(0)
    meta = LeRobotDataset(NAME, root=root).meta
    features = dataset_to_policy_features(meta.features)
    config = DiffusionConfig(
        input_features={name: feature for name, feature in features.items() if feature.type is not FeatureType.ACTION},
        output_features={"action": features["action"]},
        down_dims=(16, 32, 64),
        device="cpu",
    )
    dataset = LeRobotDataset(NAME, root=root, delta_timestamps=resolve_delta_timestamps(config, meta))
    policy = DiffusionPolicy(config)
    preprocess, _ = make_pre_post_processors(config, dataset_stats=meta.stats)
    batch = preprocess(next(iter(torch.utils.data.DataLoader(dataset, batch_size=4))))
    optimizer = torch.optim.AdamW(policy.get_optim_params(), lr=1e-4)
    loss, _ = policy.forward(batch)
    loss.backward()
    optimizer.step()
    return {
        "loss": loss.item(),
        "inputs": sorted(config.input_features),
        "largest_action": batch["action"].abs().max().item(),
    }


def write(root: Path, output: Path, tasks: list[str]) -> dict[str, object]:
    """Two episodes with a camera in a video, one in the rows; what went in goes to the output as well."""
    random = np.random.default_rng(0)
    features = {
        "observation.images.top": {"dtype": "video", "shape": (64, 48, 3), "names": ["height", "width", "channels"]},
        "observation.images.wrist": {"dtype": "image", "shape": (16, 16, 3), "names": ["height", "width", "channels"]},
        "observation.state": {"dtype": "float32", "shape": (3,), "names": ["x", "y", "z"]},
        "action": {"dtype": "float32", "shape": (1,), "names": ["grip"]},
    }
    dataset = LeRobotDataset.create(NAME, fps=10, features=features, root=root)
    steps = []
    for length, task in zip((7, 5), tasks, strict=True):
        for _ in range(length):
            level = 20 * len(steps)  # grey that tells which frame a decoder gave
            step = {
                "observation.images.top": np.full((64, 48, 3), level, np.uint8),
                "observation.images.wrist": random.integers(0, 256, (16, 16, 3), dtype=np.uint8),
                "observation.state": random.normal(size=3).astype(np.float32),
                "action": random.normal(size=1).astype(np.float32),
            }
            steps.append(step)
            dataset.add_frame({**step, "task": task})
        dataset.save_episode()
    dataset.finalize()
    arrays = {name: np.stack([step[name] for step in steps]) for name in features}
    np.savez(output, **arrays)  # type: ignore[arg-type]
    return {"lengths": [7, 5]}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["read", "write"])
    parser.add_argument("root", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("tasks", nargs="*", default=["push", "push"], help="of the two episodes to write")
    arguments = parser.parse_args()
    report = {"version": lerobot.__version__}
    if arguments.what == "read":
        report |= read(arguments.root, arguments.output) | train(arguments.root)
    else:
        report |= write(arguments.root, arguments.output, arguments.tasks)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
