"""Whether a run has left its encoder."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distillation.student_files import load_student
from distillation.training.checkpointing import WITHOUT_THEM


def is_exported(folder: Path, name: str, made: Mapping[str, Any]) -> bool:
    """Whether a folder holds a whole encoder of this name whose provenance has these entries.

    Args:
        made: what JSON can hold.
    """
    try:
        checkpoint = load_student(folder).checkpoint
    except ValueError:  # none there, or one whose writing was cut off
        return False
    if checkpoint is None or checkpoint.name != name:
        return False
    found, entries = (_with_all_settings(each) for each in (checkpoint.provenance, json.loads(json.dumps(made))))
    return all(found.get(key) == value for key, value in entries.items())


def _with_all_settings(provenance: dict[str, Any]) -> dict[str, Any]:
    settings = provenance.get("settings")
    return provenance | ({"settings": WITHOUT_THEM | settings} if isinstance(settings, dict) else {})
