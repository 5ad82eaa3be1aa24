"""The teachers that an encoder's estimates are compared with."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from distillation.cache.facts import describe_teacher
from distillation.datasets import LabelledImages
from distillation.scoring.embedding import CLEAN, PreparedImages, embed
from distillation.scoring.encoders import CentreView, Encoder
from distillation.teachers import Embedding, Teacher, load_teacher

COMPARED = ("fingerprint", "image_size", "interpolation", "embedding", "mean", "std")
"""Of a teacher in an encoder's provenance, as `TeacherFacts` names them: what its embeddings depend on."""


def load_compared(
    encoder: Encoder, specs: Sequence[str], image_size: int | None, embedding: Embedding | None
) -> list[Teacher]:
    """The teachers of an encoder's distillation, which `check_head` then compares with it.

    Args:
        specs: all of them in their order, see `load_teacher`.
        image_size: None: that of the distillation, where the encoder's provenance tells, else of the configuration.
        embedding: None: likewise, else "cls".

    Raises:
        ValueError: see `load_teacher`; the encoder was distilled from another number of teachers.
    """
    recorded = _recorded(encoder, specs)
    return [
        load_teacher(spec, image_size or entry.get("image_size"), embedding or entry.get("embedding") or "cls")
        for spec, entry in zip(specs, recorded, strict=True)
    ]


def check_head(encoder: Encoder, teachers: Sequence[Teacher]) -> None:
    """Raise a ValueError where an encoder estimates no embeddings, or others than these teachers'."""
    if encoder.teacher_head is None:
        raise ValueError(f"teacher: {encoder.name} has no teacher head to compare with a teacher; leave --teacher out")
    widths = [teacher.num_features for teacher in teachers]
    if sum(widths) != encoder.teacher_head.out_features:
        raise ValueError(
            f"teacher: the head of {encoder.name} is {encoder.teacher_head.out_features} wide, the embeddings of "
            f"{', '.join(teacher.name for teacher in teachers)} are {' + '.join(map(str, widths))}; "
            "give the teachers of its distillation, all in their order"
        )
    recorded = _recorded(encoder, [teacher.name for teacher in teachers])
    for teacher, entry in zip(teachers, recorded, strict=True):
        facts = json.loads(json.dumps(asdict(describe_teacher(teacher))))  # as a checkpoint holds them
        told = [name for name in COMPARED if entry.get(name) is not None]
        differing = [f"{name} was {entry[name]}, is {facts[name]}" for name in told if entry[name] != facts[name]]
        if differing:
            raise ValueError(
                f"teacher: {encoder.name} was distilled from {entry.get('name')}, {teacher.name} is another "
                f"({'; '.join(differing)}); give the teachers of its distillation as they were, all in their order"
            )


def embed_queries(
    teachers: Sequence[Teacher], queries: LabelledImages, device: torch.device, *, batch_size: int, workers: int
) -> list[Tensor]:
    """One teacher or more -> the embeddings of the centre of each query, (N, E) float32 on the CPU for each teacher.

    Args:
        teachers: on `device`.

    Raises:
        ValueError: an image that cannot be read.
    """
    networks: dict[str, nn.Module] = {CLEAN if i == 0 else f"teacher{i}": each for i, each in enumerate(teachers)}
    sizes = [CentreView(teacher.image_size, teacher.interpolation) for teacher in teachers]
    views = PreparedImages(queries, sizes[0], dict(zip(list(networks)[1:], sizes[1:], strict=True)))
    found = embed(networks, views, device, batch_size=batch_size, workers=workers, title="teachers")
    return [found[name] for name in networks]


def _recorded(encoder: Encoder, names: Sequence[str]) -> Sequence[Mapping[str, Any]]:
    """What the provenance has of each of these teachers, nothing where it has none; ValueError of another number."""
    recorded: Sequence[Mapping[str, Any]] = encoder.teachers or [{}] * len(names)
    if len(recorded) != len(names):
        were = ", ".join(str(entry.get("name")) for entry in recorded)
        raise ValueError(
            f"teacher: {encoder.name} was distilled from {were}, got {', '.join(names)}; give all, in their order"
        )
    return recorded
