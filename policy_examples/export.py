"""Writes a policy as one ONNX file, from an observation to its next actions: `xdistill export-policy`."""

import json
import warnings
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import onnx
import onnxruntime
import torch
import tyro
from torch import Tensor, nn
from torch.export import Dim

from policy_examples.latency import made_up_observation
from policy_examples.policy import DiffusionPolicy
from xdistill_encoder.exporting.onnx_files import describe as store_facts
from xdistill_encoder.exporting.onnx_files import open_session, require_opset
from xdistill_encoder.exporting.parity import Parity, median_ms, parity_of, put_in_place
from xdistill_encoder.hosts.needs import require_onnx

BOUNDS = {"fp32": 1e-3, "fp16": 3e-2}
"""Largest accepted relative error of an action chunk, by precision."""
COMPARED = 8


@dataclass(frozen=True)
class Config:
    """Which policy to write where."""

    policy: Path = Path("run/policy")
    """The folder that `xdistill finetune` wrote."""
    output: Path = Path("policy.onnx")
    """The file; <output>.json beside it says what it takes and gives."""
    precision: Literal["fp32", "fp16"] = "fp32"
    """Of weights and arithmetic; inputs and outputs stay as they are."""
    opset: int | None = None
    """ONNX opset; None: the one that this torch recommends."""

    def __post_init__(self) -> None:
        if self.output.suffix != ".onnx":
            raise ValueError(f"output: expected a name that ends in .onnx, got {self.output.name!r}.")


class ActionChunk(nn.Module):
    """What a policy reads, and noise -> the actions to execute; float32 outside, `dtype` inside."""

    def __init__(self, policy: DiffusionPolicy, dtype: torch.dtype) -> None:
        super().__init__()
        agent_pos, actions = deepcopy(policy.agent_pos), deepcopy(policy.actions)
        self.policy = policy.to(dtype).eval().requires_grad_(False)
        self.policy.agent_pos, self.policy.actions = agent_pos, actions  # half has steps of 0.5 mm at a metre
        self.dtype = dtype
        self.eval()

    def forward(self, observation: dict[str, Tensor], noise: Tensor) -> Tensor:
        """Observation (B, To, ...) by key, noise (B, T, A) of mean 0 and variance 1 -> (B, Ta, A) float32."""
        inputs = {
            key: value if key == "agent_pos" or value.dtype == torch.uint8 else value.to(self.dtype)
            for key, value in observation.items()
        }
        condition = self.policy.condition(inputs).to(self.dtype)
        return self.policy.denoise(noise.to(self.dtype), condition).float()


def export_policy(config: Config) -> Parity:
    """Write the file, if it agrees with PyTorch.

    Its inputs are the observation's keys, the images uint8 (B, To, 3, H, W) of the size that the policy learned from,
    agent_pos (B, To, P) float32, and "noise" (B, T, A) float32 of mean 0 and variance 1, because a graph draws
    nothing; its output is "action" (B, Ta, A) float32, in the data's units. The batch is free.

    Raises:
        ValueError: no policy there, one that draws noise between its steps, or a graph that disagrees with PyTorch.
        ImportError: onnx, onnxscript or onnxruntime is of an untried version.
    """
    require_onnx()
    policy, origin = DiffusionPolicy.load(config.policy)
    if policy.shape.sampler == "ddpm":
        raise ValueError(
            "policy: DDPM draws noise at each of its steps, which a graph cannot; a policy that was trained with "
            '`--sampler ddpm` denoises as well with DDIM: set "sampler" to "ddim" in its config.json.'
        )
    observations = [observe(policy, origin, seed) for seed in range(COMPARED)]
    noises = [torch.randn(size_of_noise(policy), generator=torch.Generator().manual_seed(s)) for s in range(COMPARED)]
    with torch.no_grad():
        expected = [policy.denoise(noise, policy.condition(o)) for noise, o in zip(noises, observations, strict=True)]
        torch_ms = median_ms(lambda: policy.denoise(noises[0], policy.condition(observations[0])))
    config.output.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=config.output.parent, prefix=f".{config.output.name}-") as folder:
        made = Path(folder) / config.output.name
        graph = ActionChunk(policy, torch.half if config.precision == "fp16" else torch.float32)
        write_onnx(graph, observations[:2], noises[:2], made, config.opset)
        opset = require_opset(made, config.opset)
        facts = {**describe(policy, origin, config, observations[0]), "opset": opset}
        store_facts(made, {key: json.dumps(value) for key, value in facts.items()})
        session = open_session(made)

        def run(number: int) -> Tensor:
            inputs = {key: value.numpy() for key, value in observations[number].items()}
            return torch.from_numpy(session.run(None, {**inputs, "noise": noises[number].numpy()})[0])

        found = [run(number) for number in range(COMPARED)]
        pairs = list(zip(found, expected, strict=True))
        parity = parity_of(pairs, COMPARED, median_ms(lambda: run(0)), torch_ms)
        parity.require(config.precision, BOUNDS[config.precision])
        put_in_place(made, config.output, facts, parity)
    return parity


def observe(policy: DiffusionPolicy, origin: dict[str, Any], seed: int) -> dict[str, Tensor]:
    """A made-up observation, another one for each seed, whose positions lie within the demonstrations' limits."""
    observation = made_up_observation(policy, origin, seed)
    share = torch.rand(observation["agent_pos"].shape, generator=torch.Generator().manual_seed(seed))
    low, high = policy.agent_pos.low, policy.agent_pos.high
    return observation | {"agent_pos": low + share * (high - low)}


def size_of_noise(policy: DiffusionPolicy) -> tuple[int, int, int]:
    """(1, T, A)."""
    return 1, policy.shape.horizon, policy.shape.action_size


def write_onnx(
    graph: ActionChunk, observations: list[dict[str, Tensor]], noises: list[Tensor], file: Path, opset: int | None
) -> None:
    """Trace with a batch of all observations, whose number stays free."""
    keys = list(graph.policy.reads)
    observation = {key: torch.cat([each[key] for each in observations]) for key in keys}
    batch = Dim("batch", min=1, max=4096)
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "# The axis name: batch will not be used", UserWarning
        )  # one name, all inputs
        program = torch.onnx.export(
            graph,
            (observation, torch.cat(noises)),
            dynamo=True,
            dynamic_shapes=({key: {0: batch} for key in keys}, {0: batch}),
            input_names=[*keys, "noise"],
            output_names=["action"],
            opset_version=opset,
            verbose=False,
        )
    assert program is not None
    program.save(str(file), external_data=False)


def describe(
    policy: DiffusionPolicy, origin: dict[str, Any], config: Config, observation: dict[str, Tensor]
) -> dict[str, Any]:
    """What the file takes and gives, and what made it."""
    shape = policy.shape
    inputs = {
        key: f"(batch, {', '.join(map(str, value.shape[1:]))}) {str(value.dtype).removeprefix('torch.')}"
        for key, value in observation.items()
    }
    return {
        "inputs": inputs | {"noise": f"(batch, {shape.horizon}, {shape.action_size}) float32, mean 0, variance 1"},
        "output": f"action (batch, {shape.action_steps}, {shape.action_size}) float32, in the data's units",
        "precision": config.precision,
        "origin": origin,
        "versions": {"torch": torch.__version__, "onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__},
    }


def main() -> None:
    """`xdistill export-policy`."""
    try:
        config = tyro.cli(Config, prog="xdistill export-policy", description=__doc__)
        parity = export_policy(config)
    except (ValueError, OSError, ImportError) as error:
        raise SystemExit(f"xdistill export-policy: {error}") from error
    print(
        f"{config.output}: {config.output.stat().st_size / 1e6:.1f} MB, {config.precision}\n"
        f"  beside PyTorch's float32: relative error {parity.relative_error:.1e} (accepted "
        f"{BOUNDS[config.precision]:g}), the worst of {parity.images} action chunks\n"
        f"  a chunk on this CPU: {parity.exported_ms:.1f} ms, PyTorch {parity.torch_ms:.1f} ms"
    )


if __name__ == "__main__":
    main()
