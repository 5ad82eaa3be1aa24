import numpy as np
import pytest

from policy_examples.explain.projections import pca, tsne
from policy_examples.explain.silhouette import silhouette


def two_clouds() -> tuple[np.ndarray, np.ndarray]:
    cloud = np.repeat([0, 1], 20)
    return np.random.default_rng(0).normal(size=(40, 6)) + 20 * cloud[:, None], cloud


def test_two_components_hold_all_of_a_plane_and_keep_its_distances():
    plane = np.random.default_rng(0).normal(size=(30, 2))
    turned, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(7, 2)))
    points, share = pca(plane @ turned.T)
    assert share == pytest.approx(1)
    np.testing.assert_allclose(
        np.linalg.norm(points[:, None] - points, axis=-1), np.linalg.norm(plane[:, None] - plane, axis=-1), atol=1e-9
    )


def test_t_sne_keeps_two_far_clouds_apart():
    features, cloud = two_clouds()
    assert silhouette(tsne(features, 30, seed=0), cloud, np.arange(40), samples=2).mean > 0.5


def test_the_same_seed_gives_the_same_picture():
    features, _ = two_clouds()
    np.testing.assert_array_equal(tsne(features, 10, seed=3), tsne(features, 10, seed=3))


@pytest.mark.parametrize("features", [np.ones((5, 3)), np.full((5, 3), np.inf)])
def test_features_of_which_there_is_no_picture_are_refused(features):
    for project in (pca, lambda features: tsne(features, 5, 0)):
        with pytest.raises(ValueError, match="expected finite numbers that differ between frames"):
            project(features)


def test_two_frames_are_too_few():
    with pytest.raises(ValueError, match=r"three frames and two numbers or more, got \(2, 4\)"):
        pca(np.eye(2, 4))
