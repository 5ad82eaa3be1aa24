"""How a run of the benchmark is trained and evaluated, by preset."""

from dataclasses import dataclass
from typing import Literal

from policy_examples.envs.camera import Render
from policy_examples.envs.tasks import TaskConfig, suite_of

PresetName = Literal["dp3", "dp3-paper", "cpu", "smoke"]


@dataclass(frozen=True)
class Protocol:
    """The paper's protocol where the defaults stay."""

    training: str
    """The preset of `xdistill finetune`."""
    demonstrations: int = 10
    """Successful ones, of the expert."""
    steps_after_success: int | None = None
    """MetaWorld demonstrations end so many steps after success; None keeps whole episodes, as Adroit's always are."""
    metaworld_px: int = 128
    """Side of MetaWorld's frames."""
    adroit_px: int = 84
    """Side of Adroit's frames."""
    render: Render = "reference"
    """Of demonstrations and evaluations."""
    points: int = 512
    """Of a point cloud, for encoders that read one."""
    episodes: int = 20
    """Of an evaluation, the same ones at every evaluation, for every encoder and seed."""
    eval_every_epochs: int | None = 200
    """Epochs between evaluations; the last step is always followed by one."""
    evaluations: int | None = None
    """At most so many, evenly spread over whole epochs, where their number is given instead."""
    steps: int | None = None
    """Optimizer steps; None is the training preset's length."""

    def image_size_px(self, task: str) -> int:
        """Side of the frames of a task."""
        return self.adroit_px if suite_of(task) == "adroit" else self.metaworld_px

    def cut(self, task: str) -> int | None:
        """Steps that a demonstration goes on after success; None is a whole episode."""
        return None if suite_of(task) == "adroit" else self.steps_after_success

    def scene(self, task: str, points: bool, shift: str | None = None) -> TaskConfig:
        """The task as a policy meets it in an evaluation."""
        return TaskConfig(task, self.image_size_px(task), self.render, self.points if points else None, shift)


PROTOCOLS: dict[PresetName, Protocol] = {
    "dp3": Protocol("dp3"),
    "dp3-paper": Protocol("dp3-paper"),
    "cpu": Protocol(  # the sizes of `xdistill demo`; three evaluations, rendered without a GPU, are a fifth of a run
        "cpu",
        steps_after_success=10,
        metaworld_px=96,
        render="fast",
        eval_every_epochs=None,
        evaluations=3,
    ),
    "smoke": Protocol(
        "cpu",
        demonstrations=2,
        steps_after_success=10,
        metaworld_px=32,
        adroit_px=32,
        render="fast",
        points=64,
        episodes=1,
        eval_every_epochs=None,
        evaluations=1,
        steps=2,
    ),
}
"""dp3: GPUs, T / To / Ta 16 / 2 / 8; dp3-paper: the same with 4 / 2 / 3; cpu: two cores; smoke: does all of it run?"""
