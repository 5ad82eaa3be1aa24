"""`xdistill copy`: a recipe folder into the user's own."""

import argparse
import shlex
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from xdistill_encoder.cli import recipes_folder

RECIPES = ("distillation", "policy_examples")


def copy_recipe(recipe: str, destination: Path) -> Path:
    """Copy a recipe's sources and results to destination/recipe, whole or not at all; returns that folder.

    Raises:
        ValueError: unknown recipe.
        FileExistsError: the folder is there already; nothing is overwritten.
    """
    if recipe not in RECIPES:
        raise ValueError(f"recipe: expected one of {', '.join(RECIPES)}, got {recipe!r}")
    target = destination / recipe
    if target.exists():
        raise FileExistsError(f"{target} exists already and is left as it is; move it or give another destination")
    destination.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=destination, prefix=f".{recipe}-") as partial:
        copy = shutil.copytree(
            recipes_folder() / recipe, Path(partial) / recipe, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
        )
        return copy.rename(target)


def main() -> None:
    """Read the command line and copy."""
    parser = argparse.ArgumentParser(prog="xdistill copy", description=__doc__)
    parser.add_argument("recipe", choices=RECIPES)
    parser.add_argument("destination", nargs="?", type=Path, default=Path(), help="default: the current folder")
    arguments = parser.parse_args()
    try:
        target = copy_recipe(arguments.recipe, arguments.destination)
    except OSError as error:
        raise SystemExit(f"xdistill copy: {error}") from error
    command = f"cd {shlex.quote(str(target.parent.resolve()))} && python -m {arguments.recipe}.train --help"
    print(f"{target} is yours to change; it runs with: {command}")
    print("the commands of `xdistill` go on running the installed one")
