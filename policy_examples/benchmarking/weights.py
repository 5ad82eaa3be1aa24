"""Which weights a run starts from: the checksum that tells checkpoints of one name apart."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from policy_examples.benchmarking.results import read_rows
from policy_examples.benchmarking.runs import EncoderChoice, Run
from policy_examples.encoders.students import read_student_config
from policy_examples.encoders.timm_models import timm_sha256
from xdistill_encoder.checkpoints import local_config
from xdistill_encoder.norms import Norm

DIGITS = 12


def shorten(sha256: str | None) -> str:
    """Its first digits, as rows name it; empty where none is known."""
    return (sha256 or "")[:DIGITS]


def require_weights_of_rows(runs: Sequence[Run], csv: Path) -> None:
    """Raise a ValueError where a run has its row, and the checkpoint that it names holds other weights by now.

    Weights on the Hub and those whose row or checkpoint records no checksum cannot be told apart.
    """
    of_rows = {row.command: row.weights for row in read_rows(csv)} if csv.exists() else {}
    here = {encoder: weights_here(encoder) for encoder in {run.encoder for run in runs}}
    for run in runs:
        then, now = of_rows.get(run.command()), here[run.encoder]
        if then and now and then != now:
            raise ValueError(
                f"csv: the row of {run.task}, {run.encoder}, seed {run.seed} in {csv} is of weights with sha256 "
                f"{then}..., the checkpoint holds others now, {now}...; name another --output, and another --csv, for "
                "these, or take the rows of the former out and delete the folders of their runs."
            )


def weights_here(choice: EncoderChoice) -> str:
    """First digits of the checksum of the weights that a run would start from; empty where no folder records it."""
    norm = cast(Norm, "group" if choice.norm == "group" else "frozen")
    try:
        if choice.name == "xdistill":
            config = local_config(choice.checkpoint, norm)
        elif choice.name == "student" and choice.checkpoint is not None:
            config = read_student_config(Path(choice.checkpoint).expanduser())
        elif choice.name == "timm" and choice.checkpoint is not None:
            return shorten(timm_sha256(Path(choice.checkpoint).expanduser()))
        else:
            return ""
    except (ValueError, OSError):  # a run that needs it says so itself
        return ""
    return shorten(config.weights_sha256 if config else None)
