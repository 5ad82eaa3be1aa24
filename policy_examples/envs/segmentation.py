"""Which pixels of a policy's image show task objects."""

import importlib
from typing import Any

import numpy as np

from policy_examples.envs.adroit_tasks import ADROIT_TASKS
from policy_examples.envs.camera import Camera
from policy_examples.envs.metaworld import PLACEMENT as METAWORLD_PLACEMENT
from policy_examples.envs.published import ADROIT, require_known
from policy_examples.envs.scenery import object_parts, robot_and_table
from policy_examples.envs.view import Placement


class ObjectMasks:
    """Masks of task objects through the task's camera, in the size and orientation of the policy's image.

    What belongs to a task object is told by `scenery.object_parts`: the geoms that the `object-colour` shift paints,
    and the goals that the image shows.

    Whatever part of the model hides an object hides its mask; bodies that are drawn beside the model, such as
    distractors, have no number that a segmentation could show, and hide none. Construct it before a shift paints the
    scene: the table's material is read at construction.

    Args:
        simulator: with MuJoCo's `model`, `data`, of an environment that is open, whose camera stands where it should.

    Raises:
        ValueError: there is no such task.
    """

    def __init__(self, simulator: Any, task: str, size_px: int) -> None:
        mujoco: Any = importlib.import_module("mujoco")
        placement = placement_of(task)
        self._simulator, self._upside_down = simulator, placement.upside_down
        geoms, sites = object_parts(simulator.model, *robot_and_table(task))
        self._of_task = {int(mujoco.mjtObj.mjOBJ_GEOM): geoms, int(mujoco.mjtObj.mjOBJ_SITE): sites}
        # Without multisampling, which would mix the numbers of neighbours.
        self._camera = Camera(simulator.model, placement.camera, size_px, "fast")
        self._scene = self._camera.scene
        for flag in (mujoco.mjtRndFlag.mjRND_SEGMENT, mujoco.mjtRndFlag.mjRND_IDCOLOR):
            self._scene.flags[flag] = 1  # each body in the plain colour of its number

    def mask(self) -> np.ndarray:
        """(H, W) bool of the scene as it is, first row at the top, upright for a person, not mirrored."""
        colours = self._camera.render(self._simulator.data)[0].astype(np.int64)
        numbers = colours @ (1, 256, 65536)  # 0 where nothing is drawn
        shown = np.zeros(self._scene.ngeom + 1, dtype=bool)
        for geom in self._scene.geoms[: self._scene.ngeom]:
            if geom.segid >= 0 and geom.objtype in self._of_task:
                shown[geom.segid + 1] = self._of_task[geom.objtype][geom.objid]
        mask = shown[numbers]
        return np.ascontiguousarray(mask[:, ::-1] if self._upside_down else mask[::-1])  # as `View` turns frames

    def close(self) -> None:
        """Give OpenGL back."""
        self._camera.close()

    def __enter__(self) -> "ObjectMasks":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def placement_of(task: str) -> Placement:
    """Where a task's camera is; raises ValueError for an unknown task."""
    require_known(task)
    return ADROIT_TASKS[task].placement if task in ADROIT else METAWORLD_PLACEMENT
