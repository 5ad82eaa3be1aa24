"""Frames of one episode with the actions that were taken on them, as every policy under comparison is shown them."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from policy_examples.envs.contract import Environment, Observation
from policy_examples.envs.segmentation import ObjectMasks
from policy_examples.envs.tasks import ACTIONS_PER_SECOND, TaskConfig, open_environment, suite_of
from policy_examples.explain.attribution.gradients import Moment
from policy_examples.explain.stores import open_store, require_all_arrays
from policy_examples.formats.episodes import Selection
from policy_examples.playing import few_threads, to_tensors
from policy_examples.policy import DiffusionPolicy
from policy_examples.windows import window_rows

REPLAY_TOLERANCE = 1e-3
"""By how much `agent_pos` of a demonstration that is played again may differ; metres, radians."""
Decide = Callable[[Sequence[Observation]], np.ndarray]
"""All observations of an episode so far -> the next actions, (n, A)."""


@dataclass(frozen=True)
class Recording:
    """One episode of N steps; row i of `actions` was taken on what row i of the others shows."""

    images: np.ndarray
    """(N, H, W, 3) uint8, RGB."""
    agent_pos: np.ndarray
    """(N, P) float32."""
    actions: np.ndarray
    """(N, A) float32."""
    masks: np.ndarray | None
    """(N, H, W) bool: task objects; None where no simulator says."""
    source: str
    """What it shows, in words."""
    further: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Frames of further cameras by their observation keys, (N, H, W, 3) uint8 each."""
    actions_per_second: float | None = None
    """None where nothing says it."""
    origin: Mapping[str, Any] = field(default_factory=dict)
    """Of the demonstrations that it is one of; empty where it was played."""

    @property
    def cameras(self) -> dict[str, np.ndarray]:
        """All frames: those of "image", then the further ones."""
        return {"image": self.images, **self.further}


def record_episode(policy: DiffusionPolicy, task: TaskConfig, seed: int, masks: bool) -> Recording:
    """The episode that `xdistill rollout` plays for this seed, every step of it seen.

    Raises:
        ValueError: an unknown task, or one of other sizes than the policy's.
    """
    noise, device = torch.Generator().manual_seed(seed), next(policy.parameters()).device
    steps = policy.shape.observation_steps

    def decide(seen: Sequence[Observation]) -> np.ndarray:
        last = [seen[max(0, len(seen) - steps + index)] for index in range(steps)]
        window = {key: np.stack([observation[key] for observation in last])[None] for key in policy.reads}
        with few_threads(1):
            return policy.predict_action(to_tensors(window, [0], device), [noise])[0].float().cpu().numpy()

    shift = "" if task.shift is None else f", shift {task.shift}"
    source = f"{task.task}, seed {seed}{shift}, played by the first policy"
    with open_environment(task) as env:
        played = record(env, seed, decide, env.episode_steps, env.solved == "ever", masks, source)
    return replace(played, actions_per_second=ACTIONS_PER_SECOND[suite_of(task.task)])


def record_demonstration(path: Path, selection: Selection, episode: int, masks: bool) -> Recording:
    """An episode of a store; its masks come from playing its actions again.

    Raises:
        ValueError: no store, no such episode; masks of demonstrations that do not say their task with its seeds, or
            that do not repeat on this machine.
    """
    stored = open_store(path, selection)
    ends = stored.episode_ends.tolist()
    if not 0 <= episode < len(ends):
        raise ValueError(f"episode: {path} has episodes 0 to {len(ends) - 1}, got {episode}.")
    rows = slice(0 if episode == 0 else ends[episode - 1], ends[episode])
    shown = Recording(
        stored.images[rows],
        stored.agent_pos[rows].astype(np.float32),
        stored.actions[rows].astype(np.float32),
        None,
        f"episode {episode} of {path}",
        {f"image_{name}": frames[rows] for name, frames in stored.cameras.items()},
        stored.origin.get("fps"),
        stored.origin,
    )
    if not masks:
        return shown
    require_all_arrays(stored, str(path), "add --no-masks")
    origin, size_px = stored.origin, stored.images.shape[1]
    if "task" not in origin or len(origin.get("seeds", [])) != len(ends) or stored.images.shape[2] != size_px:
        raise ValueError(
            f"demos: {path} does not say the task and the seeds of its episodes, or its frames are no squares, so that "
            "no mask of the task's objects can be rendered; add --no-masks, or collect them with `xdistill demos`."
        )
    task = TaskConfig(origin["task"], size_px, "fast")
    with open_environment(task) as env:
        again = record(
            env, origin["seeds"][episode], lambda _: shown.actions, len(shown.actions), False, True, shown.source
        )
    apart = float(np.abs(again.agent_pos - shown.agent_pos).max())
    if apart > REPLAY_TOLERANCE:
        raise ValueError(
            f"demos: expected {shown.source} to repeat within {REPLAY_TOLERANCE}, got agent_pos {apart:.3g} apart: "
            f"it was collected with other versions, {origin.get('versions')}; add --no-masks, or collect it again."
        )
    return replace(shown, masks=again.masks)


def record(
    env: Environment, seed: int, decide: Decide, steps: int, until_solved: bool, masks: bool, source: str
) -> Recording:
    """Play at most so many steps; `decide` is asked when the actions that it gave are used up.

    Args:
        env: not reset yet.
    """
    seen: list[Observation] = []
    actions: list[np.ndarray] = []
    shown: list[np.ndarray] = []
    next_actions: deque[np.ndarray] = deque()
    with ObjectMasks(env.simulator, env.task, env.image_size_px) if masks else nullcontext() as objects:
        env.reset(seed)
        for _ in tqdm(range(steps), desc=f"frames of {env.task}", unit="step"):
            seen.append(env.observe())
            if objects is not None:
                shown.append(objects.mask())
            if not next_actions:
                next_actions.extend(decide(seen))
            actions.append(next_actions.popleft())
            if env.step(actions[-1]) and until_solved:
                break
    return Recording(
        np.stack([observation["image"] for observation in seen]),
        np.stack([observation["agent_pos"] for observation in seen]),
        np.stack(actions),
        np.stack(shown) if masks else None,
        source,
    )


def moment(recording: Recording, policy: DiffusionPolicy, step: int) -> Moment:
    """What the policy would see at a step, with the actions around it, padded as in training."""
    shape, length = policy.shape, len(recording.actions)
    ends = np.array([length])
    rows = window_rows(ends, shape.horizon, shape.observation_steps - 1, shape.horizon - 1)[step]
    seen, device = rows[: shape.observation_steps], next(policy.parameters()).device
    cameras = {
        camera: torch.from_numpy(recording.cameras[camera][seen]).movedim(-1, -3)[None].to(device).float() / 255
        for camera in shape.cameras
    }
    agent_pos, actions = (
        torch.from_numpy(values)[None].to(device) for values in (recording.agent_pos[seen], recording.actions[rows])
    )
    return Moment(cameras, agent_pos, actions)
