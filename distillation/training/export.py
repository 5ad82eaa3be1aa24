"""Whether a run has left its encoder."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distillation.student_files import load_student


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
    return all(checkpoint.provenance.get(key) == value for key, value in json.loads(json.dumps(made)).items())
