"""Where a result comes from: command, commit."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

COMMIT_VARIABLE = "XDISTILL_COMMIT"
"""Environment variable for machines to which code was copied without its checkout: the commit that was copied."""


def command() -> str:
    """The command line of this process as one would type it: `xdistill ...` or `python -m ...`."""
    module = sys.modules["__main__"].__spec__
    if sys.argv[0].startswith("xdistill "):  # xdistill_encoder.cli puts its command there, however it was started
        program = sys.argv[0].split()
    else:
        program = ["python", "-m", module.name] if module else [Path(sys.argv[0]).name]
    return shlex.join([*program, *sys.argv[1:]])


def commit(file: Path = Path(__file__)) -> str | None:
    """Commit of the checkout that a file lies in, with "-dirty" where tracked files differ.

    Without a checkout it is what the environment variable XDISTILL_COMMIT states, or None.

    An installed file lies in no checkout, even where the environment's folder is within another project's.
    """
    stated = os.environ.get(COMMIT_VARIABLE) or None
    if shutil.which("git") is None:
        return stated

    # A checkout of another user, as a container sees one that it mounts, is this one's code all the same.
    program = ["git", "-c", "safe.directory=*", "-C", str(file.parent)]

    def git(*arguments: str) -> str | None:
        done = subprocess.run([*program, *arguments], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    if not git("ls-files", "."):  # of the file's folder
        return stated
    return git("describe", "--always", "--dirty", "--abbrev=12")
