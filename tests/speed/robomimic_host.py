"""What the encoder changes inside robomimic, measured by robomimic's own BC-RNN.

    PYTHONPATH=. ENV/bin/python tests/speed/robomimic_host.py --demos DEMOS.zarr --csv docs/hosts/robomimic.csv

`xdistill demos` makes the demonstrations; they are written as robomimic's HDF5 first. With robomimic's own ResNet-18
from random weights and with ours: the loss of the same number of steps on the same batches, and on episodes that were
held out. Appends a row every `--every` steps.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import robomimic  # pyright: ignore[reportMissingImports]
import robomimic.utils.file_utils as file_utils  # pyright: ignore[reportMissingImports]
import robomimic.utils.obs_utils as obs_utils  # pyright: ignore[reportMissingImports]
import robomimic.utils.torch_utils as torch_utils  # pyright: ignore[reportMissingImports]
import robomimic.utils.train_utils as train_utils  # pyright: ignore[reportMissingImports]
import torch
import zarr
from host_rows import append_row
from robomimic.algo import algo_factory  # pyright: ignore[reportMissingImports]
from robomimic.config import config_factory  # pyright: ignore[reportMissingImports]
from torch.utils.data import DataLoader, Subset

import xdistill_encoder.hosts.robomimic  # noqa: F401 (makes XDistillConv a backbone_class)

STARTS: dict[str, tuple[str, dict[str, Any]]] = {
    "ResNet18Conv, random": ("ResNet18Conv", {"pretrained": False, "input_coord_conv": False}),
    "xdistill, frozen": ("XDistillConv", {"norm": "frozen"}),
    "xdistill, group norm": ("XDistillConv", {"norm": "group"}),
}
HELD_OUT = 2
"""Episodes, the last ones."""


def write_hdf5(demos: Path, path: Path) -> int:
    """Demonstrations in zarr -> robomimic's HDF5; the number of episodes."""
    store: Any = zarr.open_group(demos, mode="r")
    data, ends = store["data"], store["meta/episode_ends"][:]
    with h5py.File(path, "w") as file:
        group = file.create_group("data")
        group.attrs["env_args"] = json.dumps({"env_name": "metaworld", "type": 1, "env_kwargs": {}})
        for number, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
            episode = group.create_group(f"demo_{number}")
            episode.attrs["num_samples"] = int(end - start)
            episode["actions"] = data["action"][start:end].astype("float32")
            episode["obs/agent_pos"] = data["state"][start:end].astype("float32")
            episode["obs/image"] = data["img"][start:end]
    return len(ends)


def configuration(hdf5: Path, start: str, options: argparse.Namespace) -> Any:
    """robomimic's BC-RNN with spatial softmax and random crops, its defaults but for size and backbone."""
    config = config_factory("bc")
    backbone, arguments = STARTS[start]
    with config.values_unlocked():
        config.train.data = str(hdf5)
        config.train.cuda = False
        config.train.seq_length = config.algo.rnn.horizon = 10
        config.algo.rnn.enabled = True
        config.algo.rnn.hidden_dim = 256
        config.algo.actor_layer_dims = ()
        config.algo.optim_params.policy.learning_rate.initial = options.lr
        config.observation.modalities.obs.low_dim = ["agent_pos"]
        config.observation.modalities.obs.rgb = ["image"]
        rgb = config.observation.encoder.rgb
        rgb.core_class = "VisualCore"
        rgb.core_kwargs.backbone_class = backbone
        rgb.core_kwargs.backbone_kwargs = arguments
        rgb.core_kwargs.pool_class = "SpatialSoftmax"
        rgb.core_kwargs.pool_kwargs.num_kp = 32
        rgb.core_kwargs.feature_dimension = 64
        rgb.obs_randomizer_class = "CropRandomizer"
        rgb.obs_randomizer_kwargs.crop_height = rgb.obs_randomizer_kwargs.crop_width = options.crop_px
    obs_utils.initialize_obs_utils_with_config(config)
    return config


def episode_of(dataset: Any, index: int) -> int:
    """The number of the episode that a sequence is of."""
    return int(dataset._index_to_demo_id[index].removeprefix("demo_"))


def build(hdf5: Path, start: str, seed: int, options: argparse.Namespace) -> tuple[Any, Any, Any]:
    """A policy before its first step, its configuration, the names of what it observes."""
    config = configuration(hdf5, start, options)
    shapes = file_utils.get_shape_metadata_from_dataset(
        dataset_path=str(hdf5), all_obs_keys=config.all_obs_keys, verbose=False
    )
    torch.manual_seed(seed)
    device = torch_utils.get_torch_device(False)
    model = algo_factory(config.algo_name, config, shapes["all_shapes"], shapes["ac_dim"], device=device)
    return model, config, shapes["all_obs_keys"]


def take_head(policy: Any, other: Any) -> None:
    """All but the backbone: policies of one seed differ in nothing else, whatever their backbones drew at random."""
    backbone = ("image.backbone.", "image.nets.0.")  # robomimic's state has it under both names
    head = {name: tensor for name, tensor in other.state_dict().items() if not any(part in name for part in backbone)}
    missing, unexpected = policy.load_state_dict(head, strict=False)
    assert not unexpected, unexpected
    assert all(any(part in name for part in backbone) for name in missing), missing


def measure(hdf5: Path, episodes: int, start: str, seed: int, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One policy, trained: a row every `options.every` steps."""
    other, _, _ = build(hdf5, next(iter(STARTS)), seed, options)
    model, config, keys = build(hdf5, start, seed, options)
    take_head(model.nets, other.nets)
    torch.manual_seed(seed)
    dataset, _ = train_utils.load_data_for_training(config, obs_keys=keys)
    held_out = [index for index in range(len(dataset)) if episode_of(dataset, index) >= episodes - HELD_OUT]
    rest = sorted(set(range(len(dataset))) - set(held_out))
    generator = torch.Generator().manual_seed(seed)
    loader = DataLoader(
        Subset(dataset, rest), batch_size=options.batch_size, shuffle=True, drop_last=True, generator=generator
    )
    validation = DataLoader(Subset(dataset, held_out), batch_size=options.batch_size)
    seconds = 0.0
    for report in range(1, options.steps // options.every + 1):
        began = time.monotonic()
        loss = train_utils.run_epoch(model, loader, epoch=report, num_steps=options.every)["Loss"]
        seconds += time.monotonic() - began
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(0)
            unseen = train_utils.run_epoch(model, validation, epoch=report, validate=True)["Loss"]
        yield {
            "policy": "BC-RNN",
            "encoder": start,
            "seed": seed,
            "steps": report * options.every,
            "batch_size": options.batch_size,
            "loss_since_last_row": f"{loss:.5f}",
            "held_out_loss": f"{unseen:.5f}",
            "minutes": f"{seconds / 60:.1f}",
        }


def main() -> None:
    """Read the command line, measure all policies, add their rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demos", type=Path, required=True, help="demonstrations in zarr")
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--every", type=int, default=50, help="steps between two rows of a run")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--crop-px", type=int, default=84)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="robomimic-") as folder:
        hdf5 = Path(folder) / "demos.hdf5"
        episodes = write_hdf5(options.demos, hdf5)
        for seed in options.seeds:
            for start in STARTS:
                for row in measure(hdf5, episodes, start, seed, options):
                    append_row(options.csv, row, f"robomimic {robomimic.__version__}")


if __name__ == "__main__":
    main()
