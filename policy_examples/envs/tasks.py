"""Every task by its name: MetaWorld's 50 as MetaWorld calls them, Adroit's three with `adroit-` before them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from policy_examples.envs.adroit import Adroit
from policy_examples.envs.camera import Render
from policy_examples.envs.contract import Environment
from policy_examples.envs.metaworld import MetaWorld
from policy_examples.envs.published import ADROIT, METAWORLD, PUBLISHED, Difficulty, require_known
from policy_examples.envs.shifts import Shifted, require_known_shift

Suite = Literal["metaworld", "adroit"]
ACTIONS_PER_SECOND: dict[Suite, int] = {"metaworld": 80, "adroit": 50}
"""Of simulated time."""


@dataclass(frozen=True)
class TaskConfig:
    """A task as a policy meets it."""

    task: str
    """Its name, such as drawer-open or adroit-door."""
    image_size_px: int = 128
    """Height and width of a frame; DP3 has 128 in MetaWorld, 84 in Adroit."""
    render: Render = "reference"
    """`fast` leaves out shadows, multisampling and reflections."""
    points: int | None = None
    """Points of an observation's point cloud; None leaves it out."""
    shift: str | None = None
    """What differs from the demonstrations' scene, a name of `shifts.py`; None is nothing."""
    rendered_px: int | None = None
    """Height and width at which the simulator draws, where frames are then resized; None: as they are read."""


def task_names() -> list[str]:
    """The tasks of all suites, in alphabetical order within a suite."""
    return [*sorted(METAWORLD), *sorted(ADROIT)]


def suite_of(task: str) -> Suite:
    """The simulator of a task.

    Raises:
        ValueError: there is no such task; the message has the closest one, then all.
    """
    require_known(task)
    return "adroit" if task in ADROIT else "metaworld"


def difficulty(task: str) -> Difficulty:
    """easy, medium, hard or very hard as DP3 groups MetaWorld's tasks; adroit for Adroit's.

    Raises:
        ValueError: there is no such task.
    """
    require_known(task)
    return PUBLISHED[task].difficulty


def open_environment(config: TaskConfig, experts: Path | None = None) -> Environment:
    """The environment of a task, a context manager that frees its cameras.

    Args:
        experts: folder of Adroit's experts (`door-v0.pickle` and so on); None downloads them when one first acts.

    Raises:
        ValueError: unknown task or setting.
        RenderingError: this machine cannot render without a window.
    """
    view = {"render": config.render, "points": config.points, "rendered_px": config.rendered_px}
    if config.shift is not None:
        require_known_shift(config.shift)
    if suite_of(config.task) == "adroit":
        env = Adroit(config.task, config.image_size_px, experts=experts, **view)
    else:
        env = MetaWorld(config.task, config.image_size_px, **view)
    return env if config.shift is None else Shifted(env, config.shift)
