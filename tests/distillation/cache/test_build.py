import os
import signal

import pytest
import torch

from distillation.cache.build import _Chunk
from distillation.teachers import load_teacher


def names(cache) -> list[str]:
    return [file.relative_to(cache.folder).as_posix() for file in sorted(cache.folder.glob("view-*/shard-*.parquet"))]


def test_what_exists_is_never_computed_again_and_every_forward_pass_has_the_whole_batch(unbuilt, compute, teacher):
    sizes: list[int] = []
    handle = teacher.register_forward_hook(lambda module, inputs, output: sizes.append(len(inputs[0])))
    with torch.no_grad():
        assert compute(unbuilt, unbuilt.shards()[:2])
        assert sizes == [4] * 6  # 10 + 10 rows
        before = {name: (unbuilt.folder / name).stat().st_mtime_ns for name in names(unbuilt)}
        assert compute(unbuilt)
        assert sizes == [4] * 14  # 4 + 10 + 10 + 4 more
        assert compute(unbuilt)
        assert sizes == [4] * 14
    handle.remove()
    assert {name: (unbuilt.folder / name).stat().st_mtime_ns for name in before} == before


def test_batches_that_wait_for_their_shard_hold_no_file_of_the_workers_open():
    """A tensor from a worker lies in shared memory, whose file is open for as long as any view of it lives."""
    batch = {"index": torch.arange(4), "valid": torch.ones(4, dtype=torch.bool), "parameters": torch.zeros(4, 5)}
    chunk = _Chunk(batch, torch.zeros(4, 2), None, kept=3)
    assert len(chunk) == 3
    for name, tensor in batch.items():
        kept = vars(chunk)[name]
        assert torch.equal(kept, tensor[:3])
        assert kept.untyped_storage().data_ptr() != tensor.untyped_storage().data_ptr()


def test_a_stop_is_heeded_after_the_batch_and_keeps_whole_shards(unbuilt, compute, teacher):
    calls: list[int] = []

    def on_batch(module, inputs, output):
        calls.append(len(inputs[0]))
        if len(calls) == 5:  # the second batch of the second shard
            os.kill(os.getpid(), signal.SIGTERM)

    handle = teacher.register_forward_hook(on_batch)
    assert not compute(unbuilt)
    handle.remove()
    assert len(calls) == 5
    assert names(unbuilt) == ["view-000/shard-00000.parquet"]


def test_embeddings_beyond_float16_are_an_error_that_names_the_image(unbuilt, compute, teacher_spec):
    loud = load_teacher(teacher_spec)
    for parameter in list(loud.parameters())[-2:]:  # of the final norm
        parameter.mul_(1e6)
    with pytest.raises(
        ValueError, match=r"image 0 \(.*train.parquet row 0\), view 0, is not finite, or beyond the 65504"
    ):
        compute(unbuilt, by=loud)
    assert names(unbuilt) == []
