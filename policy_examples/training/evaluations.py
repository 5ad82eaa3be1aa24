"""How often a policy succeeds while it learns."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from policy_examples import rollout
from policy_examples.demos import FIRST_EVALUATION_SEED
from policy_examples.envs.tasks import TaskConfig
from policy_examples.envs.vector import open_vector
from policy_examples.playing import interface_of
from policy_examples.policy import DiffusionPolicy
from policy_examples.whole_files import write_text


@dataclass
class Evaluations:
    """Plays the averaged policy every so many steps, always the same episodes; keeps the best.

    Writes evaluations.jsonl {"step", "epoch", "success", "episodes"}, a line per evaluation, raw episodes in
    episodes-<step>.jsonl, and best/: the policy that succeeded most, at a tie the later one, which learned more.
    """

    folder: Path
    """Of the run."""
    task: TaskConfig
    """What is played."""
    every: int
    """Steps between evaluations; the last step is always followed by one."""
    steps: int
    """Of the whole run."""
    steps_per_epoch: int
    """Optimizer steps of one pass over the windows."""
    episodes: int
    """Of an evaluation."""
    processes: int
    """That simulate them."""
    lines: list[dict[str, Any]] = field(default_factory=list)
    """Of evaluations.jsonl."""

    def require_playable(self, policy: DiffusionPolicy) -> None:
        """Begin an episode, so that what is missing is missed before hours of training.

        Raises:
            ValueError: a policy that does not fit the task.
            RenderingError: this machine cannot render without a window.
            ModuleNotFoundError: the simulator is not installed.
        """
        with open_vector(self.task, interface_of(policy), 1) as vector:
            vector.reset(seed=[FIRST_EVALUATION_SEED])

    def resume(self, step: int) -> None:
        """Go on from a step; evaluations after it are forgotten, the run comes to them again."""
        log = self.folder / "evaluations.jsonl"
        found = [json.loads(line) for line in log.read_text().splitlines()] if step and log.exists() else []
        self.lines = [line for line in found if line["step"] <= step]

    def due(self, step: int) -> bool:
        """Whether the policy of this step is to be evaluated, and was not."""
        noted = any(line["step"] == step for line in self.lines)
        return step > 0 and not noted and (step % self.every == 0 or step == self.steps)

    def run(self, step: int, policy: DiffusionPolicy, origin: dict[str, Any], stop: Callable[[], bool]) -> None:
        """Play, note, keep the policy if it is the best so far.

        Args:
            origin: what a saved policy says about where it comes from.
            stop: asked while playing; an evaluation that it ended early is not noted.
        """
        seeds = range(FIRST_EVALUATION_SEED, FIRST_EVALUATION_SEED + self.episodes)
        log = self.folder / f"episodes-{step}.jsonl"
        played = rollout.evaluate(policy, self.task, seeds, processes=self.processes, log=log, stop=stop)
        if len(played) < self.episodes:
            return
        success, epoch = rollout.success_rate(played), round(step / self.steps_per_epoch, 2)
        if all(success >= line["success"] for line in self.lines):
            facts = {"step": step, "epoch": epoch, "success": success, "selected_by_seeds": list(seeds)}
            policy.save(self.folder / "best", {**origin, **facts})
        self.lines.append({"step": step, "epoch": epoch, "success": success, "episodes": self.episodes})
        write_text(self.folder / "evaluations.jsonl", "".join(json.dumps(line) + "\n" for line in self.lines))


def learned_task(origin: dict[str, Any], reads: tuple[str, ...]) -> TaskConfig:
    """The task as the demonstrations show it; raises ValueError where they do not say it, or its arrays were chosen."""
    needed = rollout.task_facts(reads)
    missing = [name for name in needed if origin.get(name) is None]
    if missing:
        square = " (frames that are not square have none)" if missing == ["image_size_px"] else ""
        raise ValueError(
            f"eval_every_epochs: the demonstrations do not say their {', '.join(missing)}{square}, so that nothing can "
            "be evaluated while training; leave it out. Afterwards xdistill rollout plays a simulated task."
        )
    rollout.require_simulated_arrays(origin)
    return TaskConfig(**{name: origin[name] for name in needed}, rendered_px=origin.get("rendered_px"))
