"""Time a training step of LeRobot's `DiffusionPolicy`, in an environment that holds it.

`python3.11 -m venv ENV && ENV/bin/pip install lerobot==0.4.4` makes the environment. The policy is built from its
public configuration; a step is what its trainer does but for data loading, normalisation, clipping, scheduling, all in
its favour: forward, backward, its own optimizer, gradients set to None. The last line printed is JSON: version,
parameters, seconds_per_step (a list).
"""

import argparse
import json
import time
from importlib.metadata import version

import torch
from lerobot.configs.types import FeatureType, PolicyFeature  # pyright: ignore[reportMissingImports]
from lerobot.policies.diffusion.configuration_diffusion import (  # pyright: ignore[reportMissingImports]
    DiffusionConfig,
)
from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy  # pyright: ignore[reportMissingImports]


def measure(arguments: argparse.Namespace) -> dict[str, object]:
    """Seconds of each of `arguments.steps` steps, on one made-up batch."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    side = arguments.image_size
    config = DiffusionConfig(
        input_features={
            "observation.images.front": PolicyFeature(type=FeatureType.VISUAL, shape=(3, side, side)),
            "observation.state": PolicyFeature(type=FeatureType.STATE, shape=(arguments.state_size,)),
        },
        output_features={"action": PolicyFeature(type=FeatureType.ACTION, shape=(arguments.action_size,))},
        crop_shape=(arguments.crop, arguments.crop),
        device=device.type,
    )
    policy = DiffusionPolicy(config).to(device).train()
    optimizer = config.get_optimizer_preset().build(policy.get_optim_params())
    frames = (arguments.batch_size, config.n_obs_steps)
    batch = {
        "observation.images.front": torch.rand(*frames, 3, side, side, device=device),
        "observation.state": torch.rand(*frames, arguments.state_size, device=device),
        "action": torch.rand(arguments.batch_size, config.horizon, arguments.action_size, device=device) * 2 - 1,
        "action_is_pad": torch.zeros(arguments.batch_size, config.horizon, dtype=torch.bool, device=device),
    }
    seconds = []
    for _ in range(arguments.steps):
        began = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=arguments.bf16):
            loss, _ = policy.forward(batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        loss.item()  # waits for the device
        seconds.append(time.perf_counter() - began)
    return {
        "version": version("lerobot"),
        "parameters": sum(parameter.numel() for parameter in policy.parameters()),
        "seconds_per_step": seconds,
    }


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--image-size", type=int, default=84, help="side of the frames in px")
    parser.add_argument("--crop", type=int, default=76, help="side of the random crop in px")
    parser.add_argument("--state-size", type=int, default=9)
    parser.add_argument("--action-size", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--bf16", action="store_true", help="autocast to bfloat16")
    print(json.dumps(measure(parser.parse_args())))


if __name__ == "__main__":
    main()
