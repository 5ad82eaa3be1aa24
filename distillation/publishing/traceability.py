"""Whether a checkpoint can be published: what made it, what it scores."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from xdistill_encoder.checkpoints import CheckpointConfig

REQUIRED = ("teacher", "images", "steps", "settings", "command", "versions", "date")


def require_provenance(config: CheckpointConfig, *, allow_dirty: bool) -> None:
    """Check that others can make these weights again.

    The recipe is known by its commit, or outside a checkout by the version of xdistill-encoder that it came with.

    Raises:
        ValueError: names the entries that are missing or of another form, or the commits with uncommitted changes.
    """
    provenance = config.provenance
    for name in ("settings", "versions", "started_from", "teachers"):
        entry = provenance.get(name, {})
        parts = entry if name == "teachers" and isinstance(entry, list) else [entry]
        if not all(isinstance(part, dict) for part in parts):
            raise _other_form(config.name, "facts by name", name, entry)
    missing = [name for name in REQUIRED if provenance.get(name) in (None, "", [], {})]
    if not provenance.get("commit") and "xdistill-encoder" not in (provenance.get("versions") or {}):
        missing.append("commit")
    if missing:
        raise ValueError(
            f"checkpoint: {config.name} does not say what made it, its provenance lacks {', '.join(missing)}; "
            "`xdistill distill` records it, for weights from elsewhere pass provenance= to save_pretrained()"
        )
    dirty = [f"{name} ({commit})" for name, commit in _commits(config) if commit.endswith("-dirty")]
    if dirty and not allow_dirty:
        raise ValueError(
            f"checkpoint: made by code that no commit holds: {', '.join(dirty)}; commit it and distil again, "
            "or publish as it is with --allow-dirty"
        )


def _commits(config: CheckpointConfig) -> Iterator[tuple[str, str]]:
    """(name, commit) of a checkpoint, of the cache that it learned from, and of those that it started from, whose
    provenance others may have written."""
    name, provenance = config.name, config.provenance
    while True:
        commit = provenance.get("commit") or ""
        if not isinstance(commit, str):
            raise _other_form(name, "text", "commit", commit)
        yield name, commit
        targets = provenance.get("targets_made") or {}
        if not isinstance(targets, dict):
            raise _other_form(name, "facts by name", "targets_made", targets)
        yield f"the targets of {name}", str(targets.get("commit") or "")
        origin = provenance.get("started_from")
        if not origin:
            return
        if not isinstance(origin, dict):
            raise _other_form(name, "facts by name", "started_from", origin)
        name, provenance = origin.get("name", ""), origin.get("provenance", {})
        if not isinstance(provenance, dict):
            raise _other_form(name, "facts by name", "provenance", provenance)


def _other_form(checkpoint: str, expected: str, entry: str, found: object) -> ValueError:
    return ValueError(f"checkpoint: {checkpoint}: its provenance: expected {expected} in {entry}, got {found!r}")


def read_scorecards(files: Sequence[Path], config: CheckpointConfig) -> list[dict[str, Any]]:
    """The JSON files of `xdistill scorecard`; without any, the scores in the provenance.

    Raises:
        ValueError: a file that is missing, no scorecard, or one of another encoder.
    """
    if not files:
        recorded = config.provenance.get("scores") or []
        return [recorded] if isinstance(recorded, dict) else list(recorded)
    return [_read_scorecard(file, config) for file in files]


def _read_scorecard(file: Path, config: CheckpointConfig) -> dict[str, Any]:
    try:
        scorecard = json.loads(file.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except (OSError, ValueError) as error:
        raise ValueError(f"scores: {file}: not readable as JSON ({error}); `xdistill scorecard` writes it") from error
    if not isinstance(scorecard, dict) or "encoder" not in scorecard:
        raise ValueError(f"scores: {file}: no entry 'encoder', so this is no output of `xdistill scorecard`")
    measured = scorecard.get("weights_sha256") or config.weights_sha256
    if scorecard["encoder"] != config.name or measured != config.weights_sha256:
        raise ValueError(
            f"scores: {file} is of {scorecard['encoder']} (sha256 {measured[:12]}), "
            f"the checkpoint is {config.name} (sha256 {config.weights_sha256[:12]}); score this one"
        )
    return scorecard


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no score")
