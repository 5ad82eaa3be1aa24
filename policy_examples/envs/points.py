"""Point clouds from a camera's depth, as 3D Diffusion Policy (DP3) makes them.

DP3 has its clouds in frames of its own: origin in the camera, turned about the vertical (in MetaWorld by half a degree
about the others too). Ours are in the world's, in which a plain box keeps the same surfaces.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Crop:
    """The box of the scene that a point cloud keeps; metres, world frame.

    Attributes:
        low: smallest x, y, z.
        high: largest x, y, z.
    """

    low: tuple[float, float, float]
    high: tuple[float, float, float]

    def __call__(self, cloud: np.ndarray) -> np.ndarray:
        """(M, 3) -> the points inside, (K, 3)."""
        return cloud[np.all((cloud > self.low) & (cloud < self.high), axis=1)]


def world_points(depth_m: np.ndarray, fovy_deg: float, rotation: np.ndarray, position_m: np.ndarray) -> np.ndarray:
    """Where in the world every pixel's surface lies.

    Args:
        depth_m: (H, H), along the camera's axis, first row at the bottom of the view.
        fovy_deg: vertical field of view.
        rotation: (3, 3), columns: the camera's right, up, backward in the world.
        position_m: (3,) of the camera.

    Returns:
        (H * H, 3) float32, metres, row by row.
    """
    size_px = len(depth_m)
    half_height = np.tan(np.deg2rad(fovy_deg) / 2)
    across = ((np.arange(size_px) + 0.5) / size_px * 2 - 1) * half_height  # pixel centres, at distance 1
    right, up = np.meshgrid(across, across)
    rays = np.stack([right, up, -np.ones_like(right)], axis=-1)  # (H, H, 3)
    return ((rays * depth_m[..., None]).reshape(-1, 3) @ rotation.T + position_m).astype(np.float32)


def farthest_points(cloud: np.ndarray, count: int) -> np.ndarray:
    """Farthest point sampling: each chosen point is the farthest from those chosen before; the first comes first.

    A cloud of fewer points is repeated from its start, which no pooling over points notices (DP3 fills up with zeros,
    a point that lies in the scene).

    Args:
        cloud: (M, 3) float32.

    Returns:
        (count, 3) float32.

    Raises:
        ValueError: the cloud is empty.
    """
    if len(cloud) == 0:
        raise ValueError("points: nothing that the camera sees lies in the crop box; check the camera, or the shift.")
    if len(cloud) <= count:
        return np.resize(cloud, (count, 3))
    x, y, z = np.ascontiguousarray(cloud.T)
    nearest = np.full(len(cloud), np.inf, dtype=np.float32)  # squared distance to the closest chosen point
    distance, along = np.empty_like(nearest), np.empty_like(nearest)
    chosen = np.zeros(count, dtype=np.intp)
    for index in range(1, count):
        last = chosen[index - 1]
        np.subtract(x, x[last], out=distance)
        np.multiply(distance, distance, out=distance)
        for axis in (y, z):
            np.subtract(axis, axis[last], out=along)
            np.multiply(along, along, out=along)
            np.add(distance, along, out=distance)
        np.minimum(nearest, distance, out=nearest)
        chosen[index] = nearest.argmax()
    return cloud[chosen]
