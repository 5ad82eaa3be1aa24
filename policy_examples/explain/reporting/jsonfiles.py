"""Reads JSON that runs left, with errors that name the file."""

import json
from pathlib import Path
from typing import Any


def read_object(path: Path) -> dict[str, Any]:
    """A file's JSON object; raises ValueError where it holds something else."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"runs: {path} cannot be read ({error}); make the run again, or remove the file.") from error
    if not isinstance(found, dict):
        raise ValueError(f"runs: expected a JSON object in {path}, got {type(found).__name__}; remove the file.")
    return found


def read_lines(path: Path, needed: tuple[str, ...]) -> list[dict[str, Any]]:
    """The JSON lines of a file, none where it is missing; a last line that a killed process cut off is left out.

    Args:
        needed: names that every line must have.

    Raises:
        ValueError: a line is damaged or lacks a name.
    """
    if not path.exists():
        return []
    lines = []
    for number, text in enumerate(path.read_text().splitlines(keepends=True), 1):
        if not text.endswith("\n"):
            break
        try:
            line = json.loads(text)
        except ValueError as error:
            raise ValueError(f"runs: {path}:{number} is no JSON ({error}); mend the line or remove it.") from error
        lacking = [name for name in needed if not isinstance(line, dict) or name not in line]
        if lacking:
            raise ValueError(f"runs: {path}:{number} lacks {', '.join(lacking)}; mend the line or remove it.")
        lines.append(line)
    return lines
