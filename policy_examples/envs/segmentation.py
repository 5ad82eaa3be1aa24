"""Which pixels of a policy's image show task objects."""

import importlib
from typing import Any

import numpy as np

from policy_examples.envs.adroit_tasks import ADROIT_TASKS
from policy_examples.envs.appearance import FIXTURES
from policy_examples.envs.camera import Camera
from policy_examples.envs.metaworld import PLACEMENT as METAWORLD_PLACEMENT
from policy_examples.envs.published import ADROIT, require_known
from policy_examples.envs.view import Placement

ROBOT_AND_TABLE = {"metaworld": ("base", "tablelink"), "adroit": ("forearm", "table")}
"""The bodies that carry the robot and that are the table, direct children of the world."""


class ObjectMasks:
    """Masks of task objects through the task's camera, in the size and orientation of the policy's image.

    A geom belongs to a task object unless the body that it hangs on, followed up to the child of the world, is the
    robot, the table or a fixture (floor, retaining walls, trackers; `appearance.FIXTURES`), or unless it is made of the
    table's material, as pick-out-of-hole's upper table is. What is left is what the `object-colour` shift paints: what
    is handled, where it goes, obstacles such as push-wall's wall. A site, MuJoCo's marker, belongs to one unless it
    hangs on robot, table or fixture; those of the world itself are MetaWorld's goals, which the image shows.

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
        geoms, sites = task_objects(simulator.model, task)
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


def task_objects(model: Any, task: str) -> tuple[np.ndarray, np.ndarray]:
    """Which geoms, which sites of a model belong to task objects, (geoms,) bool, (sites,) bool; see `ObjectMasks`."""
    robot, table = ROBOT_AND_TABLE["adroit" if task in ADROIT else "metaworld"]
    roots = np.array([model.body(int(root)).name for root in model.body_rootid])  # of each body, the child of the world
    of_scenery = np.isin(roots, [robot, table, *FIXTURES])
    table_materials = set(model.geom_matid[roots[model.geom_bodyid] == table].tolist()) - {-1}
    geoms = ~of_scenery[model.geom_bodyid] & ~np.isin(model.geom_matid, list(table_materials))
    sites = ~of_scenery[model.site_bodyid] | (model.site_bodyid == 0)
    return geoms, sites


def object_names(model: Any, task: str) -> list[str]:
    """The bodies, children of the world, that carry the geoms of task objects, in alphabetical order."""
    geoms, _ = task_objects(model, task)
    return sorted({model.body(int(model.body_rootid[body])).name for body in model.geom_bodyid[geoms]})
