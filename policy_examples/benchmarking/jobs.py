"""The process of a run: what it is asked, why it failed."""

import json
import os
import signal
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from policy_examples.benchmarking.launchers import Finished, Job

IMPORT_ROOT = Path(__file__).resolve().parents[2]
"""The folder from which Python imports policy_examples; within a wheel it is not on the path by itself."""

LOG_EVERY_S = 10
"""Between lines of progress in the log of a run."""


@dataclass(frozen=True)
class Session:
    """What a benchmark asks of a run's process, beside what makes the run itself."""

    folder: str
    """Of the run, with its run.json."""
    store: str
    """Demonstrations, collected if they are not there."""
    points: bool
    """They have point clouds."""
    suite: str
    """For the rows; may be empty."""
    shifts: tuple[str, ...] = ()
    """To evaluate the finished policy under."""
    processes: int = 1
    """Environments side by side."""
    experts: str | None = None
    """Folder of Adroit's; None downloads them."""
    keep_policies: bool = True
    """Leave the policies in the folder."""


def job_of(session: Session) -> Job:
    """The process that does what is left of a run."""
    path = os.pathsep.join(filter(None, [str(IMPORT_ROOT), os.environ.get("PYTHONPATH")]))
    program = [
        "env",
        "PYTHONSAFEPATH=1",  # the folder that this was called from may hold a user's copy of the recipes
        f"PYTHONPATH={path}",
        f"TQDM_MININTERVAL={LOG_EVERY_S}",
        sys.executable,
        "-m",
        "policy_examples.benchmarking.worker",
    ]
    return Job(session.folder, (*program, json.dumps(asdict(session))), Path(session.folder) / "log")


def read_session(text: str) -> Session:
    """The session of a process's command line."""
    fields = json.loads(text)
    return Session(**{**fields, "shifts": tuple(fields["shifts"])})


def failure_reason(finished: Finished, log: Path) -> str:
    """The last line that the run printed, or the signal that ended it."""
    if finished.status < 0:
        number = -finished.status
        hint = "; the system kills so where memory runs out" if number == signal.SIGKILL else ""
        return f"killed by {signal.Signals(number).name}{hint}"
    lines = log.read_text(errors="replace").replace("\r", "\n").splitlines() if log.exists() else []
    said = [line.strip() for line in lines if line.strip()]
    return said[-1] if said else f"exit status {finished.status}, and it printed nothing"
