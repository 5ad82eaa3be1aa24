import importlib
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from policy_examples.envs.appearance import Appearance

mujoco: Any = importlib.import_module("mujoco")


def scene(half_m: float):
    """A square table half a metre below a camera that looks down; the robot is far off."""
    model = mujoco.MjModel.from_xml_string(
        f"""<mujoco><worldbody>
        <camera name="above" pos="0 0 0.5"/>
        <body name="table"><geom type="box" size="{half_m} {half_m} 0.01"/></body>
        <body name="robot" pos="5 0 0"><geom size="0.01"/></body>
        </worldbody></mujoco>"""
    )
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return SimpleNamespace(model=model, data=data)


def test_five_distractors_lie_on_a_table_with_room():
    decorations = []
    Appearance(scene(0.2), "robot", "table", decorations).add_distractors(np.random.default_rng(0), camera=0)
    assert len(decorations) == 5


def test_a_table_without_room_for_five_distractors_is_refused():
    """A body needs 6.5 cm to every side and 10 cm to its neighbour: on 20 cm of table there is room for one."""
    decorations = []
    with pytest.raises(ValueError, match=r"distractors: expected room for 5 .* found it for 1 in \d+ tries"):
        Appearance(scene(0.1), "robot", "table", decorations).add_distractors(np.random.default_rng(0), camera=0)
    assert decorations == []
