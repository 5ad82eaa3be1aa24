"""Tells task objects from robot, table and walls in a MuJoCo model."""

from typing import Any

import numpy as np

from policy_examples.envs.published import ADROIT

ROBOT_AND_TABLE = {"metaworld": ("base", "tablelink"), "adroit": ("forearm", "table")}
"""The bodies that carry the robot and that are the table, direct children of the world."""
FIXTURES = ("world", "RetainingWall", "mocap", "vive_tracker")
"""Bodies that are neither table nor robot nor objects."""


def robot_and_table(task: str) -> tuple[str, str]:
    """The names of a task's robot and table."""
    return ROBOT_AND_TABLE["adroit" if task in ADROIT else "metaworld"]


def table_geoms(model: Any, table: str) -> np.ndarray:
    """Which geoms are the table, (geoms,) bool: those of its body, and all of its material, as pick-out-of-hole's top,
    which is another body."""
    of_table = _roots(model)[model.geom_bodyid] == table
    materials = set(model.geom_matid[of_table].tolist()) - {-1}
    return of_table | np.isin(model.geom_matid, list(materials))


def object_parts(model: Any, robot: str, table: str) -> tuple[np.ndarray, np.ndarray]:
    """Which geoms, which sites belong to task objects, (geoms,) bool, (sites,) bool.

    A geom does unless the body that it hangs on, followed up to the child of the world, is the robot, the table or a
    fixture (floor, retaining walls, trackers), or unless it is made of the table's material. What is left is what is
    handled, where it goes, obstacles such as push-wall's wall. A site, MuJoCo's marker, does unless it hangs on robot,
    table or fixture; those of the world itself are MetaWorld's goals, which the image shows.
    """
    of_scenery = np.isin(_roots(model), [robot, table, *FIXTURES])
    geoms = ~of_scenery[model.geom_bodyid] & ~table_geoms(model, table)
    return geoms, ~of_scenery[model.site_bodyid] | (model.site_bodyid == 0)


def _roots(model: Any) -> np.ndarray:
    """Of each body the name of the child of the world that it hangs on."""
    return np.array([model.body(int(root)).name for root in model.body_rootid])
