"""What a teacher's network says of a batch of images."""

from typing import NamedTuple

from torch import Tensor


class Features(NamedTuple):
    """Embeddings and patches of B images.

    Attributes:
        cls: (B, D), the [CLS] token after the final norm; None where the network has none.
        avg: (B, D), the mean of the patches.
        patches: (B, P, h, w), the patch tokens without class and register tokens, or the last map of a convnet.
    """

    cls: Tensor | None
    avg: Tensor
    patches: Tensor


def tokens_to_map(tokens: Tensor, height_px: int, width_px: int) -> Tensor:
    """(B, h * w, D) patch tokens of images of a size, row by row -> (B, D, h, w).

    Raises:
        ValueError: the tokens are no grid of square patches over such images.
    """
    batch, count, width = tokens.shape
    rows, columns = round((count * height_px / width_px) ** 0.5), round((count * width_px / height_px) ** 0.5)
    if count == 0 or rows * columns != count or rows * width_px != columns * height_px:
        raise ValueError(f"tokens: {count} of them are no grid of square patches over {height_px} x {width_px} px")
    return tokens.transpose(1, 2).reshape(batch, width, rows, columns)
