"""Where a result comes from: command, commit."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path


def command() -> str:
    """The command line of this process as one would type it: `xdistill ...` or `python -m ...`."""
    module = sys.modules["__main__"].__spec__
    if sys.argv[0].startswith("xdistill "):  # xdistill_encoder.cli puts its command there, however it was started
        program = sys.argv[0].split()
    else:
        program = ["python", "-m", module.name] if module else [Path(sys.argv[0]).name]
    return shlex.join([*program, *sys.argv[1:]])


def commit(file: Path = Path(__file__)) -> str | None:
    """Commit of the checkout that a file lies in, with "-dirty" where tracked files differ; None without one.

    An installed file lies in no checkout, even where the environment's folder is within another project's.
    """
    if shutil.which("git") is None:
        return None

    def git(*arguments: str) -> str | None:
        done = subprocess.run(["git", "-C", str(file.parent), *arguments], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    if not git("ls-files", "."):  # of the file's folder
        return None
    return git("describe", "--always", "--dirty", "--abbrev=12")
