import pytest
import torch

from distillation.towers.features import tokens_to_map


@pytest.mark.parametrize(("height_px", "width_px", "rows", "columns"), [(32, 32, 2, 2), (32, 48, 2, 3), (64, 16, 4, 1)])
def test_tokens_of_square_patches_lie_row_by_row(height_px, width_px, rows, columns):
    tokens = torch.rand(2, rows * columns, 5)
    laid = tokens_to_map(tokens, height_px, width_px)
    assert laid.shape == (2, 5, rows, columns)
    for row in range(rows):
        for column in range(columns):
            assert torch.equal(laid[:, :, row, column], tokens[:, row * columns + column])


@pytest.mark.parametrize(
    ("count", "height_px", "width_px"),
    [
        (197, 224, 224),  # 14 x 14 with the class token
        (12, 32, 32),  # 3 x 4 are not square over a square
        (210, 224, 224),
        (6, 32, 64),
        (1, 16, 64),
        (0, 32, 32),
    ],
)
def test_tokens_that_are_no_grid_of_square_patches_over_the_image_are_refused(count, height_px, width_px):
    complaint = f"tokens: {count} of them are no grid of square patches over {height_px} x {width_px} px"
    with pytest.raises(ValueError, match=complaint):
        tokens_to_map(torch.rand(1, count, 5), height_px, width_px)
