"""What identifies a run, with what its encoder says about its making."""

from dataclasses import asdict
from hashlib import sha256
from typing import Any

from distillation.datasets import Images
from distillation.students import Student
from distillation.training.supervision import CachedTeachers, Supervision


def identify(settings: dict[str, Any], images: Images, supervision: Supervision, student: Student) -> dict[str, str]:
    """What a run must share with the one that it resumes."""
    facts = {key: str(value) for key, value in settings.items()}
    facts |= {
        "images_fingerprint": images.fingerprint,
        "teachers": str([teacher.identity for teacher in supervision.facts]),
        "targets": describe_targets(supervision),
        "warm_start": str(student.origin.get("started_from", {}).get("weights_sha256")),
    }
    normalisations = [teacher.normalisation for teacher in supervision.facts]
    if None not in normalisations:
        facts["normalisation"] = str(normalisations)
    if images.shards is not None:  # which order the images of remote shards, and those alone
        facts["shards"] = sha256(str(images.shards).encode()).hexdigest()[:16]
    return facts


def describe_making(settings: dict[str, Any], images: Images, supervision: Supervision) -> dict[str, Any]:
    """What an encoder says about its making, beside the history of the run."""
    made: dict[str, Any] = {"teacher": supervision.name, "teachers": list(map(asdict, supervision.facts))}
    made |= {"images": len(images), "images_fingerprint": images.fingerprint}
    made |= {"targets": describe_targets(supervision), "settings": settings}
    if isinstance(supervision, CachedTeachers):
        made["targets_made"] = supervision.cache.facts.made
    return made


def describe_targets(supervision: Supervision) -> str:
    """Where embeddings come from, as far as they depend on it: a cache is rounded, and its maps have a size."""
    if not isinstance(supervision, CachedTeachers):
        return "online"
    facts = supervision.cache.facts
    maps = f", maps {facts.patch_shape}" if supervision.maps else ""
    return f"cached (teacher's mixed precision: {facts.precision}){maps}"
