"""The most recent embeddings of a teacher."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class EmbeddingQueue(nn.Module):
    """First in, first out, of a fixed size; all of its state is in its state dict (MoCo, arXiv 1911.05722).

    Args:
        size: embeddings kept, Q, at least 1.
        width: of an embedding, D.

    Attributes:
        embeddings: (Q, D) float32 of norm 1; zeros where nothing has been pushed yet.

    Raises:
        ValueError: size or width below 1.
    """

    embeddings: Tensor
    cursor: Tensor

    def __init__(self, size: int, width: int):
        super().__init__()
        if size < 1 or width < 1:
            raise ValueError(f"queue: expected size and width of at least 1, got {size} and {width}")
        self.register_buffer("embeddings", torch.zeros(size, width))
        self.register_buffer("cursor", torch.zeros((), dtype=torch.int64))  # row that the next embedding goes to

    @torch.no_grad()
    def push(self, embeddings: Tensor) -> None:
        """(B, D) of any norm take the places of the oldest; of more than Q, the last Q stay.

        To be called after the backward pass of a loss that compared with the queue.

        Raises:
            ValueError: another width.
        """
        size, width = self.embeddings.shape
        if embeddings.ndim != 2 or embeddings.shape[1] != width:
            raise ValueError(f"queue: expected embeddings (B, {width}), got {tuple(embeddings.shape)}")
        count, kept = len(embeddings), embeddings[-size:]
        places = torch.arange(count - len(kept), count, device=self.cursor.device) + self.cursor
        self.embeddings.index_copy_(0, places % size, F.normalize(kept.to(self.embeddings), dim=1))
        self.cursor.add_(count).remainder_(size)
