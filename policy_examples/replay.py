"""Compares a policy's actions with those of recorded episodes, for a robot's policy before the arm moves."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from tqdm import tqdm

from policy_examples.devices import best_device
from policy_examples.formats.episodes import Selection, require_same_order
from policy_examples.policy import DiffusionPolicy
from policy_examples.policy_shape import is_camera
from policy_examples.store import Demonstrations, open_demonstrations
from policy_examples.whole_files import whole, write_text
from policy_examples.windows import observed_array

BATCH = 32
"""Decisions at once."""


@dataclass(frozen=True)
class Config:
    """Which policy, on which recorded episodes."""

    policy: Path
    """Folder of the policy."""
    demos: Path
    """Demonstrations, in any format that `xdistill finetune` reads."""
    episodes: tuple[int, ...] = ()
    """Numbers of the episodes to compare with, such as those that training left out by --selection.skip-episodes; the
    first is 0. None named: all."""
    output: Path = Path("replay")
    """Folder of replay.json and replay.png."""
    seed: int = 0
    """Of the noise from which actions are denoised."""
    selection: Selection = field(default_factory=Selection)
    """What to take of the demonstrations, as in training."""


@dataclass(frozen=True)
class Comparison:
    """Actions of some episodes end to end, N steps in all."""

    recorded: np.ndarray
    """(N, A)."""
    predicted: np.ndarray
    """(N, A): what the policy would have executed, deciding at every Ta-th step on what was recorded until then."""
    held: np.ndarray
    """(N, A): what executing the last recorded action again, until the next decision, would have been; NaN until the
    second decision of an episode, before which there is none."""
    lengths: tuple[int, ...]
    """Steps of each episode."""

    def errors(self) -> dict[str, np.ndarray]:
        """Mean absolute differences from the recorded actions where there is one to hold, (A,) each, in the units of
        the demonstrations."""
        known = ~np.isnan(self.held).any(axis=1)
        found = {"policy": self.predicted, "held": self.held}
        return {name: np.abs(actions - self.recorded)[known].mean(0) for name, actions in found.items()}


def compare(
    policy: DiffusionPolicy, demonstrations: Demonstrations, episodes: Sequence[int] = (), seed: int = 0
) -> Comparison:
    """The policy's actions on recorded observations.

    Args:
        episodes: their numbers; none: all.

    Raises:
        ValueError: no such episode, none of two decisions, or demonstrations that the policy cannot read.
    """
    ends = demonstrations.episode_ends.tolist()
    starts = [0, *ends[:-1]]
    chosen = episodes or range(len(ends))
    strangers = sorted(set(chosen) - set(range(len(ends))))
    if strangers:
        raise ValueError(f"episodes: expected some of 0 to {len(ends) - 1}, got {', '.join(map(str, strangers))}.")
    shape, device = policy.shape, policy.agent_pos.low.device
    observed = {key: torch.from_numpy(observed_array(demonstrations, key)) for key in policy.reads}
    if demonstrations.actions.shape[1] != shape.action_size:
        raise ValueError(
            f"demos: the policy learned {shape.action_size} numbers an action, these have "
            f"{demonstrations.actions.shape[1]}; name those to take with --selection.action."
        )
    if all(ends[number] - starts[number] <= shape.action_steps for number in chosen):
        raise ValueError(
            f"episodes: expected one of more than {shape.action_steps} steps, which the policy decides at once, so "
            "that an action was executed before a decision."
        )
    predicted, held = [], []
    for number in tqdm(chosen, desc="episodes", unit="episode"):
        start, end = starts[number], ends[number]
        decisions = np.arange(start, end, shape.action_steps)
        frames = np.maximum(decisions[:, None] + np.arange(1 - shape.observation_steps, 1), start)  # (decisions, To)
        chunks = []
        for first in range(0, len(decisions), BATCH):
            rows = torch.from_numpy(frames[first : first + BATCH])
            read = {key: values[rows].to(device) for key, values in observed.items()}
            read = {key: values.movedim(-1, -3) if is_camera(key) else values for key, values in read.items()}
            noise = [torch.Generator().manual_seed(seed + int(row)) for row in rows[:, -1]]
            chunks.append(policy.predict_action(read, noise).float().cpu().numpy())
        predicted.append(np.concatenate(chunks).reshape(-1, shape.action_size)[: end - start])
        before = demonstrations.actions[np.maximum(decisions - 1, start)].astype(np.float32)
        before[0] = np.nan
        held.append(np.repeat(before, shape.action_steps, axis=0)[: end - start])
    recorded = [demonstrations.actions[starts[number] : ends[number]] for number in chosen]
    return Comparison(
        *(np.concatenate(parts).astype(np.float32) for parts in (recorded, predicted, held)),
        lengths=tuple(map(len, recorded)),
    )


def table(comparison: Comparison, names: Sequence[str]) -> str:
    """A line per number of an action: the policy's error, that of repeating the last action, the range recorded."""
    errors, ranges = comparison.errors(), np.ptp(comparison.recorded, axis=0)
    width = max(map(len, (*names, "action")))
    lines = [f"{'action':{width}}  {'policy':>10}  {'held':>10}  {'range':>10}"]
    for number, name in enumerate(names):
        cells = (errors["policy"][number], errors["held"][number], ranges[number])
        lines.append(f"{name:{width}}  " + "  ".join(f"{value:10.4g}" for value in cells))
    return "\n".join(lines)


def draw(comparison: Comparison, names: Sequence[str], path: Path) -> None:
    """The first episode's actions over its steps, recorded and of the policy, a panel per number."""
    from matplotlib.figure import Figure

    steps = comparison.lengths[0]
    figure = Figure(figsize=(8, 1.4 * len(names) + 0.8), layout="constrained")
    panels = figure.subplots(len(names), sharex=True, squeeze=False)[:, 0]
    for number, (axes, name) in enumerate(zip(panels, names, strict=True)):
        axes.plot(comparison.recorded[:steps, number], label="recorded")
        axes.plot(comparison.predicted[:steps, number], label="policy")
        axes.set_ylabel(name)
        axes.grid(alpha=0.3)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    panels[-1].set_xlabel("step")
    with whole(path) as partial:
        figure.savefig(partial, dpi=120)


def run(config: Config) -> str:
    """Compare, write replay.json and replay.png; returns the table.

    Raises:
        ValueError: no policy there, demonstrations that it cannot read, no such episode.
    """
    policy, origin = DiffusionPolicy.load(config.policy)
    policy.to(best_device())
    demonstrations = open_demonstrations(config.demos, config.selection)
    require_same_order(origin, demonstrations.origin, policy.shape.image_keys)
    comparison = compare(policy, demonstrations, config.episodes, config.seed)
    names = origin.get("action_names") or [str(number) for number in range(policy.shape.action_size)]
    errors = {name: values.tolist() for name, values in comparison.errors().items()}
    facts: dict[str, Any] = {"policy": str(config.policy), "demos": str(config.demos), "seed": config.seed}
    facts |= {"episodes": list(config.episodes), "steps": len(comparison.recorded), "actions": names}
    config.output.mkdir(parents=True, exist_ok=True)
    found = json.dumps({**facts, "mean_absolute_error": errors}, indent=2)
    write_text(config.output / "replay.json", found + "\n")
    draw(comparison, names, config.output / "replay.png")
    return table(comparison, names)


def main() -> None:
    """`xdistill replay`."""
    description = (
        "Compare a policy's actions with recorded ones, on what was recorded: mean absolute errors, in the units of "
        "the demonstrations, beside those of holding the last action until the next decision; from the second decision "
        "of an episode on."
    )
    config = tyro.cli(Config, prog="xdistill replay", description=description)
    try:
        print(run(config))
    except (OSError, ValueError) as error:
        raise SystemExit(f"xdistill replay: {error}") from error
    print(f"{config.output / 'replay.png'}: the actions of the first episode")


if __name__ == "__main__":
    main()
