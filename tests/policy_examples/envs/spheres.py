"""A magenta sphere in the scene, to see where the camera sees what."""

import numpy as np

from policy_examples.envs.camera import Decoration

RADIUS_M = 0.03


def put_sphere(env, centre_m) -> None:
    x, y, z = map(float, centre_m)
    env.decorations[:] = [Decoration("sphere", (RADIUS_M, RADIUS_M, RADIUS_M), (x, y, z), (1, 0, 1))]


def sphere_pixel(env) -> np.ndarray:
    """(column, row) of the sphere's middle in the image."""
    red, green, blue = np.moveaxis(env.observe()["image"].astype(int), -1, 0)
    rows, columns = np.nonzero((red > green + 60) & (blue > green + 60))
    assert len(rows) > 10
    return np.array([columns.mean(), rows.mean()])


def axes_in_image(env, centre_m) -> np.ndarray:
    """(3, 2): along which pixels, right and up, the sphere moves per metre of the world's x, y, z."""
    put_sphere(env, centre_m)
    start = sphere_pixel(env)
    moved = []
    for axis in np.eye(3):
        put_sphere(env, centre_m + 0.05 * axis)
        moved.append((sphere_pixel(env) - start) * [1, -1] / 0.05)
    env.decorations.clear()
    return np.array(moved)


def looks_from(along: np.ndarray) -> np.ndarray:
    """From where an unmirrored camera sees these axes: image right x image up points to the viewer."""
    return np.cross(along[:, 0], along[:, 1])
