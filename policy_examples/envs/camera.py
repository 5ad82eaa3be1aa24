"""Renders one fixed MuJoCo camera into an array without a window."""

import atexit
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Render = Literal["reference", "fast"]

_APT_GET = {
    "egl": "sudo apt-get install -y libegl1 libgl1 libglvnd0 libgl1-mesa-dri",
    "osmesa": "sudo apt-get install -y libosmesa6",
}


class RenderingError(RuntimeError):
    """OpenGL cannot be opened without a window."""


def require_headless_rendering() -> None:
    """Choose EGL on Linux unless MUJOCO_GL is set, then import MuJoCo.

    MuJoCo reads MUJOCO_GL when it is imported, so this comes before every other import of it.

    Raises:
        RenderingError: the OpenGL libraries are missing; the message has the command that installs them.
    """
    if sys.platform == "linux":
        os.environ.setdefault("MUJOCO_GL", "egl")
    try:
        import mujoco.gl_context  # noqa: F401
    except (ImportError, AttributeError, RuntimeError) as error:
        raise _no_rendering(error) from error


def _no_rendering(error: Exception) -> RenderingError:
    backend = os.environ.get("MUJOCO_GL", "")
    install = _APT_GET.get(backend, _APT_GET["egl"])
    return RenderingError(
        f"MuJoCo cannot render without a window: MUJOCO_GL is {backend!r}, and opening it failed with {error!r}. "
        f"Install the libraries with `{install}`, or choose the other back end with MUJOCO_GL=egl or MUJOCO_GL=osmesa."
    )


def _open_context(width_px: int, height_px: int) -> Any:
    """An OpenGL context of the back end that MUJOCO_GL names, even if MuJoCo was imported before it was set."""
    backend = os.environ.get("MUJOCO_GL", "")
    try:
        if backend == "egl":
            from mujoco.egl import GLContext
        elif backend == "osmesa":
            from mujoco.osmesa import GLContext
        else:
            from mujoco.gl_context import GLContext
        return GLContext(width_px, height_px)
    except (ImportError, AttributeError, RuntimeError) as error:
        raise _no_rendering(error) from error


@dataclass(frozen=True)
class Decoration:
    """A body that is drawn, but that nothing can touch: it is part of the pictures, not of the model."""

    shape: Literal["box", "cylinder", "sphere"]
    size_m: tuple[float, float, float]
    """As MuJoCo has it: half lengths of a box, radius and half height of a cylinder, radius of a sphere."""
    position_m: tuple[float, float, float]
    """Of its centre, world frame."""
    colour: tuple[float, float, float]
    """RGB in [0, 1]."""


class Camera:
    """A fixed camera of a model.

    `reference` is the model's own quality. `fast` leaves out shadows, multisampling and reflections, which are nine
    tenths of the cost on a machine without a GPU; the picture gets a little darker, so that a policy must see the
    setting in evaluation that it saw in training.
    """

    def __init__(
        self, model: Any, name: str, size_px: int, render: Render, decorations: Sequence[Decoration] = ()
    ) -> None:
        """`decorations` is read at every frame: whoever keeps the list changes what is seen."""
        mujoco: Any = importlib.import_module("mujoco")
        self.size_px = size_px
        self.frames_rendered = 0
        self._model, self._mujoco, self._decorations = model, mujoco, decorations
        self._view = mujoco.MjvCamera()
        self._view.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._view.fixedcamid = model.camera(name).id
        self.scene = mujoco.MjvScene(model, 1000)
        self._viewport = mujoco.MjrRect(0, 0, size_px, size_px)
        self._option, self._perturbation = mujoco.MjvOption(), mujoco.MjvPerturb()

        self._gl: Any = _open_context(size_px, size_px)
        self._gl.make_current()
        self._buffers = self._open_buffers(render)
        # MuJoCo's own exit hook closes the display; a context that is freed after it prints a traceback.
        atexit.register(self.close)

    def _open_buffers(self, render: Render) -> Any:
        quality, size = self._model.vis.quality, self._model.vis.global_
        kept = quality.offsamples, size.offwidth, size.offheight
        size.offwidth = size.offheight = self.size_px  # Adroit asks for 3024 x 1680 pixels, whatever is read of them
        if render == "fast":
            quality.offsamples = 0
            self.scene.flags[self._mujoco.mjtRndFlag.mjRND_SHADOW] = 0
            self.scene.flags[self._mujoco.mjtRndFlag.mjRND_REFLECTION] = 0
        buffers = self._mujoco.MjrContext(self._model, self._mujoco.mjtFontScale.mjFONTSCALE_100)
        self._mujoco.mjr_setBuffer(self._mujoco.mjtFramebuffer.mjFB_OFFSCREEN, buffers)
        buffers.readDepthMap = self._mujoco.mjtDepthMap.mjDEPTH_ZEROFAR  # finer far away than the other way round
        quality.offsamples, size.offwidth, size.offheight = kept
        return buffers

    def render(self, data: Any, with_depth: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
        """The frame as OpenGL keeps it: its first row is at the bottom of the camera's view.

        Returns:
            (H, W, 3) uint8, RGB, then None or (H, W) float32: metres along the camera's axis to what a pixel shows.
        """
        pixels = np.empty((self.size_px, self.size_px, 3), dtype=np.uint8)
        depth = np.empty((self.size_px, self.size_px), dtype=np.float32) if with_depth else None
        everything = self._mujoco.mjtCatBit.mjCAT_ALL
        self._gl.make_current()
        self._mujoco.mjv_updateScene(
            self._model, data, self._option, self._perturbation, self._view, everything, self.scene
        )
        for decoration in self._decorations:
            self._add(decoration)
        self._mujoco.mjr_render(self._viewport, self.scene, self._buffers)
        self._mujoco.mjr_readPixels(pixels, depth, self._viewport, self._buffers)
        self.frames_rendered += 1
        return pixels, None if depth is None else self._metres(depth)

    def _metres(self, depth: np.ndarray) -> np.ndarray:
        """OpenGL's depth, 1 at the near plane and 0 at the far one, in metres."""
        planes, extent = self._model.vis.map, self._model.stat.extent
        near, far = planes.znear * extent, planes.zfar * extent
        return (near * far / (near + depth.astype(np.float64) * (far - near))).astype(np.float32)

    def _add(self, decoration: Decoration) -> None:
        """Draw one more body in the scene of this frame."""
        mujoco, geom = self._mujoco, self.scene.geoms[self.scene.ngeom]
        shape = getattr(mujoco.mjtGeom, f"mjGEOM_{decoration.shape.upper()}")
        mujoco.mjv_initGeom(
            geom, shape, decoration.size_m, decoration.position_m, np.eye(3).ravel(), (*decoration.colour, 1)
        )
        self.scene.ngeom += 1

    def close(self) -> None:
        """Give the OpenGL context back."""
        if self._gl is None:
            return
        atexit.unregister(self.close)
        self._gl.make_current()
        self._buffers.free()
        self._gl.free()
        self._gl = None
