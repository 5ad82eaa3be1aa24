"""Where a result comes from: command, commit."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

COMMIT_VARIABLE = "XDISTILL_COMMIT"
"""Environment variable for machines to which code was copied without its checkout: the commit that was copied."""
RESULTS = (":(top,exclude,glob)**/results/*.csv", ":(top,exclude,glob)**/results.csv")


def command() -> str:
    """The command line of this process as one would type it: `xdistill ...` or `python -m ...`."""
    module = sys.modules["__main__"].__spec__
    if sys.argv[0].startswith("xdistill "):  # xdistill_encoder.cli puts its command there, however it was started
        program = sys.argv[0].split()
    else:
        program = ["python", "-m", module.name] if module else Path(sys.argv[0]).name.split()
    return shlex.join([*program, *sys.argv[1:]])


def commit(file: Path) -> str | None:
    """Commit of the checkout that tracks a file, with "-dirty" where tracked files differ.

    Without a checkout it is what the environment variable XDISTILL_COMMIT states, or None.

    Rows of results do not count: a command that adds some would make its own code look changed.
    """
    stated = os.environ.get(COMMIT_VARIABLE) or None
    if shutil.which("git") is None:
        return stated

    # A checkout of another user, as a container sees one that it mounts, is this one's code all the same.
    program = ["git", "-c", "safe.directory=*", "-C", str(file.parent)]

    def git(*arguments: str) -> str | None:
        done = subprocess.run([*program, *arguments], capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else None

    if git("ls-files", "--error-unmatch", file.name) is None:  # installed within another project's checkout
        return stated
    name = git("describe", "--always", "--abbrev=12", "--exclude=*")  # the commit, also where it has a tag
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ":/", *RESULTS)
    return f"{name}-dirty" if name and changed != "" else name
