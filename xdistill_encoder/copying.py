"""`xdistill copy`: a recipe folder into the user's own."""

import argparse
import shutil
from pathlib import Path

from xdistill_encoder.cli import recipes_folder

RECIPES = ("distillation", "policy_examples")


def copy_recipe(recipe: str, destination: Path) -> Path:
    """Copy a recipe's sources and results to destination/recipe; returns that folder.

    Raises:
        FileExistsError: the folder is there already; nothing is overwritten.
    """
    target = destination / recipe
    if target.exists():
        raise FileExistsError(f"{target} exists already and is left as it is; move it or give another destination")
    destination.mkdir(parents=True, exist_ok=True)
    partial = destination / f".{recipe}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(recipes_folder() / recipe, partial, ignore=shutil.ignore_patterns("__pycache__"))
    return partial.rename(target)


def main() -> None:
    """Read the command line and copy."""
    parser = argparse.ArgumentParser(prog="xdistill copy", description=__doc__)
    parser.add_argument("recipe", choices=RECIPES)
    parser.add_argument("destination", nargs="?", type=Path, default=Path(), help="default: the current folder")
    arguments = parser.parse_args()
    try:
        target = copy_recipe(arguments.recipe, arguments.destination)
    except FileExistsError as error:
        raise SystemExit(f"xdistill copy: {error}") from error
    print(f"{target}: yours to change; run it with: python -m {arguments.recipe}.train --help")
