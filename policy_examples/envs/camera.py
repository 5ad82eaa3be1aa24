"""Renders one fixed MuJoCo camera into an array without a window."""

import atexit
import importlib
import os
import sys
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


class Camera:
    """A fixed camera of a model.

    `reference` is the model's own quality. `fast` leaves out shadows, multisampling and reflections, which are nine
    tenths of the cost on a machine without a GPU; the picture gets a little darker, so that a policy must see the
    setting in evaluation that it saw in training.
    """

    def __init__(self, model: Any, name: str, size_px: int, render: Render) -> None:
        mujoco: Any = importlib.import_module("mujoco")
        self.size_px = size_px
        self.frames_rendered = 0
        self._model, self._mujoco = model, mujoco
        self._view = mujoco.MjvCamera()
        self._view.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._view.fixedcamid = model.camera(name).id
        self._scene = mujoco.MjvScene(model, 1000)
        self._viewport = mujoco.MjrRect(0, 0, size_px, size_px)
        self._option, self._perturbation = mujoco.MjvOption(), mujoco.MjvPerturb()

        size = model.vis.global_
        size.offwidth, size.offheight = max(size_px, size.offwidth), max(size_px, size.offheight)
        self._gl: Any = _open_context(size.offwidth, size.offheight)
        self._gl.make_current()
        self._buffers = self._open_buffers(render)
        # MuJoCo's own exit hook closes the display; a context that is freed after it prints a traceback.
        atexit.register(self.close)

    def _open_buffers(self, render: Render) -> Any:
        quality = self._model.vis.quality
        samples = quality.offsamples
        if render == "fast":
            quality.offsamples = 0
            self._scene.flags[self._mujoco.mjtRndFlag.mjRND_SHADOW] = 0
            self._scene.flags[self._mujoco.mjtRndFlag.mjRND_REFLECTION] = 0
        buffers = self._mujoco.MjrContext(self._model, self._mujoco.mjtFontScale.mjFONTSCALE_100)
        self._mujoco.mjr_setBuffer(self._mujoco.mjtFramebuffer.mjFB_OFFSCREEN, buffers)
        quality.offsamples = samples
        return buffers

    def render(self, data: Any) -> np.ndarray:
        """The frame as OpenGL keeps it, (H, W, 3) uint8, its first row at the bottom of the camera's view."""
        pixels = np.empty((self.size_px, self.size_px, 3), dtype=np.uint8)
        everything = self._mujoco.mjtCatBit.mjCAT_ALL
        self._gl.make_current()
        self._mujoco.mjv_updateScene(
            self._model, data, self._option, self._perturbation, self._view, everything, self._scene
        )
        self._mujoco.mjr_render(self._viewport, self._scene, self._buffers)
        self._mujoco.mjr_readPixels(pixels, None, self._viewport, self._buffers)
        self.frames_rendered += 1
        return pixels

    def close(self) -> None:
        """Give the OpenGL context back."""
        if self._gl is None:
            return
        atexit.unregister(self.close)
        self._gl.make_current()
        self._buffers.free()
        self._gl.free()
        self._gl = None
