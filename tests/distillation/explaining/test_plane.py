import numpy as np
import pytest
import torch

from distillation.explaining.plane import plane


def groups() -> torch.Tensor:
    """Twenty rows around each of two orthogonal directions."""
    noise = torch.randn(40, 8, generator=torch.Generator().manual_seed(0)) * 0.05
    return noise + torch.eye(8)[:2].repeat_interleave(20, dim=0)


def test_what_points_alike_lies_together():
    points = plane(groups(), perplexity=5, seed=0)
    centres = points[:20].mean(axis=0), points[20:].mean(axis=0)
    spread = max(
        np.linalg.norm(points[:20] - centres[0], axis=1).max(), np.linalg.norm(points[20:] - centres[1], axis=1).max()
    )
    assert np.linalg.norm(centres[0] - centres[1]) > 2 * spread


def test_lengths_do_not_count():
    lengths = 2.0 ** (torch.arange(40)[:, None] % 5)  # powers of two: products and norms are exact
    np.testing.assert_array_equal(plane(groups() * lengths, 5, 0), plane(groups(), 5, 0))


@pytest.mark.parametrize("features", [torch.ones(5, 4), torch.rand(2, 4)])
def test_what_has_no_picture_is_refused(features):
    with pytest.raises(ValueError, match="expected three rows or more that differ"):
        plane(features, perplexity=5, seed=0)
