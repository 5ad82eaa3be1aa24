"""A task's camera at every size that is asked for, its frames upright for a person."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from policy_examples.envs.camera import Camera, Decoration, Render
from policy_examples.envs.contract import Observation
from policy_examples.envs.points import Crop, farthest_points, world_points
from policy_examples.formats.arrays import resize


@dataclass(frozen=True)
class Placement:
    """Where a task's camera is.

    Attributes:
        camera: its name in the model.
        position_m: where it is put, in its body's frame.
        quaternion: how it is turned, (w, x, y, z); None leaves it as the model has it.
        upside_down: its up points down in a person's view of the scene.
        crop: what a point cloud from it keeps.
    """

    camera: str
    position_m: tuple[float, float, float]
    quaternion: tuple[float, float, float, float] | None
    upside_down: bool
    crop: Crop


class View:
    """Frames and point clouds of a simulator; OpenGL is opened by the first frame, one context a size.

    Args:
        rendered_px: side at which observations are drawn, to be resized as demonstrations were; None: as asked for.

    Attributes:
        decorations: bodies that are drawn beside the model's.
    """

    def __init__(self, simulator: Any, placement: Placement, render: Render, rendered_px: int | None = None) -> None:
        if render not in ("reference", "fast"):
            raise ValueError(f"render: accepted are 'reference' and 'fast', got {render!r}.")
        self.placement, self.decorations = placement, list[Decoration]()
        self.render_setting: Render = render
        self.rendered_px = rendered_px
        self._simulator = simulator
        self._cameras: dict[int, Camera] = {}
        self._frames_of_closed = 0
        camera = simulator.model.camera(placement.camera)
        camera.pos = placement.position_m
        if placement.quaternion is not None:
            camera.quat = placement.quaternion

    def frame(self, size_px: int) -> np.ndarray:
        """(size_px, size_px, 3) uint8, RGB, upright, not mirrored."""
        return self._upright(self._camera(size_px).render(self._simulator.data)[0])

    def observe(self, size_px: int, points: int | None) -> Observation:
        """{"image": the frame}; with points asked for, beside it "point_cloud": (points, 3) float32 of the surfaces
        that the frame shows, metres, world frame. One rendering."""
        rendered_px = self.rendered_px or size_px
        if points is None:
            return {"image": resize(self.frame(rendered_px)[None], size_px)[0]}
        model, data = self._simulator.model, self._simulator.data
        pixels, depth_m = self._camera(rendered_px).render(data, with_depth=True)
        camera = model.camera(self.placement.camera).id
        rotation = data.cam_xmat[camera].reshape(3, 3)
        cloud = world_points(np.asarray(depth_m), model.cam_fovy[camera], rotation, data.cam_xpos[camera])
        kept = farthest_points(self.placement.crop(cloud), points)
        return {"image": resize(self._upright(pixels)[None], size_px)[0], "point_cloud": kept}

    def _camera(self, size_px: int) -> Camera:
        if size_px not in self._cameras:
            name = self.placement.camera
            model, setting = self._simulator.model, self.render_setting
            self._cameras[size_px] = Camera(model, name, size_px, setting, self.decorations)
        return self._cameras[size_px]

    def _upright(self, pixels: np.ndarray) -> np.ndarray:
        # OpenGL's first row is the lowest. Reading the rows downwards turns the picture; for a camera that hangs
        # upside down it is the columns that are read backwards.
        return np.ascontiguousarray(pixels[:, ::-1] if self.placement.upside_down else pixels[::-1])

    @property
    def frames_rendered(self) -> int:
        """Frames drawn so far."""
        return self._frames_of_closed + sum(camera.frames_rendered for camera in self._cameras.values())

    def close(self) -> None:
        """Give OpenGL back; a later frame opens it again."""
        self._frames_of_closed = self.frames_rendered
        for camera in self._cameras.values():
            camera.close()
        self._cameras.clear()
