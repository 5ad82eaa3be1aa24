"""Changes how a MuJoCo scene looks, never how it moves."""

import colorsys
import importlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from policy_examples.envs.camera import Decoration
from policy_examples.envs.scenery import object_parts, table_geoms

Colour = tuple[float, float, float]
"""RGB in [0, 1]."""

CAMERA_OFFSET_M = (0.03, 0.06)
CAMERA_TURN_DEG = (2.0, 4.0)
FIELD_OF_VIEW = (0.9, 1.1)
"""Times the camera's own."""
DARKER, BRIGHTER = (0.35, 0.6), (1.4, 1.8)
"""Times the scene's own light."""
TINT = 0.2
"""By how much a channel of the light departs from the others, at most."""
LIGHT_TURN_DEG = 60.0
DISTRACTORS = 5
DISTRACTOR_M = (0.02, 0.035)
"""Half its height, and half its width."""
CLEARANCE_M = 0.03
TRIES = 2_000
"""Looks at the table for places; the scenes of all tasks need some 20, seldom 50."""


class Appearance:
    """What a scene looks like; every change starts from its looks at construction.

    Args:
        simulator: with MuJoCo's `model`, `data`.
        robot: name of the body that carries the robot.
        table: name of the table's body.
        decorations: the list whose bodies the scene's cameras draw.
    """

    def __init__(self, simulator: Any, robot: str, table: str, decorations: list[Decoration]) -> None:
        self._mujoco: Any = importlib.import_module("mujoco")
        self._model, self._data, self._decorations = simulator.model, simulator.data, decorations
        model = self._model
        objects, _ = object_parts(model, robot, table)
        self._table, self._objects = np.flatnonzero(table_geoms(model, table)), np.flatnonzero(objects)
        self._cameras = {name: getattr(model, name).copy() for name in ("cam_pos", "cam_quat", "cam_fovy")}
        self._lights = {name: getattr(model, name).copy() for name in ("light_diffuse", "light_specular", "light_dir")}
        head = model.vis.headlight
        self._headlight = {name: getattr(head, name).copy() for name in ("ambient", "diffuse", "specular")}
        self._rgba, self._materials = model.geom_rgba.copy(), model.geom_matid.copy()

    def move_cameras(self, random: np.random.Generator) -> None:
        """Every camera: 3 to 6 cm to anywhere, turned by 2 to 4 degrees about any axis, 0.9 to 1.1 times as wide."""
        offset = _direction(random) * random.uniform(*CAMERA_OFFSET_M)
        turn = np.empty(4)
        self._mujoco.mju_axisAngle2Quat(turn, _direction(random), np.deg2rad(random.uniform(*CAMERA_TURN_DEG)))
        self._model.cam_pos[:] = self._cameras["cam_pos"] + offset
        for camera, quaternion in enumerate(self._cameras["cam_quat"]):
            self._mujoco.mju_mulQuat(self._model.cam_quat[camera], quaternion, turn)
        self._model.cam_fovy[:] = self._cameras["cam_fovy"] * random.uniform(*FIELD_OF_VIEW)
        self._mujoco.mj_camlight(self._model, self._data)

    def change_light(self, random: np.random.Generator) -> None:
        """Much darker or brighter, tinted, the lamps turned about the vertical."""
        strength = random.uniform(*(DARKER if random.random() < 0.5 else BRIGHTER))
        colour = strength * random.uniform(1 - TINT, 1 + TINT, 3)
        for name in ("light_diffuse", "light_specular"):
            getattr(self._model, name)[:] = self._lights[name] * colour
        for name, value in self._headlight.items():
            getattr(self._model.vis.headlight, name)[:] = value * colour
        angle = np.deg2rad(random.uniform(-LIGHT_TURN_DEG, LIGHT_TURN_DEG))
        turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        self._model.light_dir[:] = self._lights["light_dir"] @ turn.T
        self._mujoco.mj_camlight(self._model, self._data)

    def paint_table(self, random: np.random.Generator) -> None:
        """The table in one plain colour, without its texture."""
        (colour,) = _colours(random, 1)
        self._paint(self._table, colour)

    def paint_objects(self, random: np.random.Generator) -> None:
        """Everything that is neither robot nor table nor wall in plain colours; what looked alike still does."""
        looks = {geom: (self._materials[geom], *self._rgba[geom, :3]) for geom in self._objects}
        different = sorted(set(looks.values()))
        colours = dict(zip(different, _colours(random, len(different)), strict=True))
        for geom, look in looks.items():
            self._paint(geom, colours[look])

    def add_distractors(self, random: np.random.Generator, camera: int) -> None:
        """Five boxes, cylinders, balls where the camera sees free table; they are drawn, and nothing can touch them.

        Raises:
            ValueError: the camera sees no room for five.
        """
        places: list[np.ndarray] = []
        for place in self._table_in_view(random, camera):
            apart = all(np.linalg.norm(place - other) > 2 * DISTRACTOR_M[1] + CLEARANCE_M for other in places)
            if apart and self._is_free(place):
                places.append(place)
            if len(places) == DISTRACTORS:
                break
        else:
            raise ValueError(
                f"distractors: expected room for {DISTRACTORS} of them on the table that the camera sees, found it for "
                f"{len(places)} in {TRIES} tries; leave this shift out."
            )
        self._decorations[:] = [
            _distractor(random, place, colour)
            for place, colour in zip(places, _colours(random, len(places)), strict=True)
        ]

    def _paint(self, geoms: np.ndarray | np.integer, colour: Colour) -> None:
        self._model.geom_matid[geoms] = -1
        self._model.geom_rgba[geoms, :3] = colour

    def _table_in_view(self, random: np.random.Generator, camera: int) -> Iterator[np.ndarray]:
        """Points of the table that the camera sees, (3,), metres, in random order."""
        half = np.tan(np.deg2rad(self._model.cam_fovy[camera]) / 2)
        rotation = self._data.cam_xmat[camera].reshape(3, 3)
        for _ in range(TRIES):
            right, up = random.uniform(-0.9, 0.9, 2) * half
            hit = self._ray(self._data.cam_xpos[camera], rotation @ np.array([right, up, -1.0]))
            if hit is not None:
                yield hit

    def _is_free(self, place: np.ndarray) -> bool:
        """Whether rays that fall around a place all end on the table at its height."""
        reach = DISTRACTOR_M[1] + CLEARANCE_M
        around = [reach * np.array([np.cos(angle), np.sin(angle), 0]) for angle in np.arange(8) * np.pi / 4]
        for shift in (np.zeros(3), *around):
            hit = self._ray(place + shift + np.array([0, 0, 0.5]), np.array([0, 0, -1.0]))
            if hit is None or abs(hit[2] - place[2]) > 1e-3:
                return False
        return True

    def _ray(self, start: np.ndarray, direction: np.ndarray) -> np.ndarray | None:
        """Where a ray ends, if that is on the table."""
        direction, geom = direction / np.linalg.norm(direction), np.full(1, -1, np.int32)
        distance = self._mujoco.mj_ray(self._model, self._data, start, direction, None, 1, -1, geom)
        return start + distance * direction if geom[0] in self._table else None


def _direction(random: np.random.Generator) -> np.ndarray:
    """(3,) of length 1, uniform on the sphere."""
    vector = random.normal(size=3)
    return vector / np.linalg.norm(vector)


def _colours(random: np.random.Generator, count: int) -> Sequence[Colour]:
    """Strong colours whose hues are as far apart as can be."""
    first = random.random()
    hues = [(first + index / max(1, count)) % 1 for index in range(count)]
    return [colorsys.hsv_to_rgb(hue, random.uniform(0.6, 0.95), random.uniform(0.5, 0.95)) for hue in hues]


def _distractor(random: np.random.Generator, place: np.ndarray, colour: Colour) -> Decoration:
    shape = random.choice(np.array(["box", "cylinder", "sphere"]))
    width, height = random.uniform(*DISTRACTOR_M, 2)
    size = {"box": (width, width, height), "cylinder": (width, height, 0.0), "sphere": (width, 0.0, 0.0)}[shape]
    x, y, z = place
    return Decoration(shape, size, (x, y, z + (width if shape == "sphere" else height)), colour)
