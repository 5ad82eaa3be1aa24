import pytest
import torch
from torch.nn import functional as F

from distillation.training.embedding_queue import EmbeddingQueue


def rows(*values: float) -> torch.Tensor:
    """(B, 2) of norm 1, one direction in the plane for each value."""
    angles = torch.tensor(values)
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def test_the_oldest_make_way_for_the_latest():
    queue = EmbeddingQueue(3, 2)
    queue.push(rows(0.1, 0.2))
    torch.testing.assert_close(queue.embeddings, torch.cat([rows(0.1, 0.2), torch.zeros(1, 2)]))
    queue.push(rows(0.3, 0.4))
    torch.testing.assert_close(queue.embeddings, rows(0.4, 0.2, 0.3))


@pytest.mark.parametrize("size", [1, 4, 7, 12, 40])
def test_it_does_not_matter_in_which_batches_embeddings_come(size):
    embeddings = torch.randn(24, 5, generator=torch.Generator().manual_seed(0))
    queues = [EmbeddingQueue(size, 5) for _ in range(3)]
    for queue, batch_size in zip(queues, (24, 8, 3), strict=True):
        for batch in embeddings.split(batch_size):
            queue.push(batch)
    assert torch.equal(queues[0].embeddings, queues[1].embeddings)
    assert torch.equal(queues[0].embeddings, queues[2].embeddings)
    held = {tuple(row.tolist()) for row in queues[0].embeddings if row.any()}
    assert held == {tuple(row.tolist()) for row in F.normalize(embeddings, dim=1)[-size:]}


def test_embeddings_are_kept_at_norm_1_in_float32():
    queue = EmbeddingQueue(2, 4)
    queue.push(torch.full((2, 4), 8.0, dtype=torch.bfloat16))
    assert torch.equal(queue.embeddings, torch.full((2, 4), 0.5))


def test_gradients_do_not_reach_the_queue():
    queue = EmbeddingQueue(2, 4)
    queue.push(torch.ones(2, 4, requires_grad=True))
    assert not queue.embeddings.requires_grad
    assert not list(queue.parameters())


def test_a_restored_queue_goes_on_as_the_saved_one():
    batches = torch.randn(6, 3, 5, generator=torch.Generator().manual_seed(0))
    queue, restored = EmbeddingQueue(7, 5), EmbeddingQueue(7, 5)
    for batch in batches[:4]:
        queue.push(batch)
    restored.load_state_dict(queue.state_dict())
    for batch in batches[4:]:
        queue.push(batch)
        restored.push(batch)
    assert torch.equal(queue.embeddings, restored.embeddings)
    assert torch.equal(queue.cursor, restored.cursor)


def test_another_width_is_refused():
    with pytest.raises(ValueError, match=r"expected embeddings \(B, 5\), got \(3, 4\)"):
        EmbeddingQueue(7, 5).push(torch.zeros(3, 4))


@pytest.mark.parametrize("given", [(0, 4), (4, 0)])
def test_a_queue_without_places_is_refused(given):
    with pytest.raises(ValueError, match=f"size and width of at least 1, got {given[0]} and {given[1]}"):
        EmbeddingQueue(*given)
