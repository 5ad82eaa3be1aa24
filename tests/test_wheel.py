import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from xdistill_encoder import __version__

ROOT = Path(__file__).parents[1]
NOT_CORE = ("accelerate", "datasets", "diffusers", "matplotlib", "metaworld", "timm", "tyro", "zarr")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The wheel, built from the source distribution that was built from the tree."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [path.name for path in folder.glob("*.tar.gz")] == [f"xdistill_encoder-{__version__}.tar.gz"]
    return folder / f"xdistill_encoder-{__version__}-py3-none-any.whl"


@pytest.fixture(scope="session")
def installed(wheel, tmp_path_factory):
    """run(program, *arguments) in an environment that holds the wheel with its dependencies, from another folder."""
    environment = tmp_path_factory.mktemp("clean") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True, capture_output=True)
    (site_packages,) = environment.glob("lib/python3.*/site-packages")
    link_requirements(wheel, site_packages)
    install = ["install", "--quiet", "--no-index", "--no-deps", "--disable-pip-version-check", str(wheel)]
    subprocess.run([str(environment / "bin" / "pip"), *install], check=True, capture_output=True)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    variables = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")} | {"HF_HUB_OFFLINE": "1"}

    def run(program, *arguments):
        return subprocess.run(
            [str(environment / "bin" / program), *arguments],
            cwd=elsewhere,
            env=variables,
            capture_output=True,
            text=True,
        )

    run.site_packages, run.folder = site_packages, elsewhere
    return run


def link_requirements(wheel: Path, site_packages: Path) -> None:
    """Link what the wheel requires without its extras, and what that requires in turn, from the running environment."""
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(f"xdistill_encoder-{__version__}.dist-info/METADATA").decode()
    waiting = needed(re.findall(r"^Requires-Dist: (.*)$", metadata, re.MULTILINE), extras=set())
    seen: set[str] = set()
    while waiting:
        requirement = waiting.pop()
        if str(requirement) not in seen:
            seen.add(str(requirement))
            found = distribution(requirement.name)
            waiting += needed(found.requires or [], requirement.extras)
            link_files(found, site_packages)


def needed(lines: list[str], extras: set[str]) -> list[Requirement]:
    """The requirements that hold on this platform, with these extras."""
    requirements = map(Requirement, lines)
    return [r for r in requirements if not r.marker or any(r.marker.evaluate({"extra": e}) for e in extras | {""})]


def link_files(found: Distribution, site_packages: Path) -> None:
    for top in {file.parts[0] for file in found.files or [] if file.parts[0] not in ("..", "__pycache__")}:
        link = site_packages / top
        if not link.exists():
            link.symlink_to(Path(str(found.locate_file(top))))


def test_the_wheel_carries_the_weights_and_the_recipes_without_compiled_files(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    tree = {str(path.relative_to(ROOT)) for path in (ROOT / "xdistill_encoder").rglob("*") if path.is_file()}
    recipes = {
        f"xdistill_encoder/recipes/{path.relative_to(ROOT)}"
        for recipe in ("distillation", "policy_examples")
        for path in (ROOT / recipe).rglob("*.py")
    }
    assert {name for name in tree if "__pycache__" not in name} <= names
    assert recipes <= names
    assert not [name for name in names if name.endswith(".pyc")]


def test_a_wheel_built_from_a_tree_leaves_out_what_git_ignores(tmp_path):
    tree = tmp_path / "tree"
    for folder in ("xdistill_encoder", "distillation", "policy_examples"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__", "runs"))
    for file in ("pyproject.toml", ".gitignore", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, tree)
    for run in (tree / "distillation" / "runs", tree / "policy_examples" / "runs"):
        run.mkdir()
        (run / "model.safetensors").write_bytes(b"a user's own")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(tree)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        names = archive.namelist()
    assert "xdistill_encoder/recipes/distillation/train.py" in names
    assert not [name for name in names if "/runs/" in name]


def test_the_metadata_names_the_terms_of_code_and_weights(wheel):
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(f"xdistill_encoder-{__version__}.dist-info/METADATA").decode()
        names = archive.namelist()
    assert "License-Expression: Apache-2.0 AND LicenseRef-xdistill-weights\n" in metadata
    files = re.findall(r"^License-File: (.*)$", metadata, re.MULTILINE)
    cards = [str(path.relative_to(ROOT)) for path in (ROOT / "xdistill_encoder" / "weights").glob("*/README.md")]
    assert sorted(files) == sorted(["LICENSE", *cards])
    assert all(f"xdistill_encoder-{__version__}.dist-info/licenses/{file}" in names for file in files)
    assert "xdistill_encoder/py.typed" in names


def test_the_wheel_puts_one_package_at_the_top_level(wheel):
    with zipfile.ZipFile(wheel) as archive:
        top = {name.partition("/")[0] for name in archive.namelist()}
    assert top == {"xdistill_encoder", f"xdistill_encoder-{__version__}.dist-info"}


def test_the_bundled_encoder_loads_offline_with_nothing_but_the_core_dependencies(installed):
    program = f"""
import importlib.util, torch, xdistill_encoder
print(xdistill_encoder.__file__)
encoder = xdistill_encoder.XDistillResNet18.from_pretrained()
print(*encoder(torch.zeros(2, 3, 64, 64)).shape)
print([name for name in {NOT_CORE!r} if importlib.util.find_spec(name)])
"""
    done = installed("python", "-c", program)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        str(installed.site_packages / "xdistill_encoder" / "__init__.py"),
        "2 512",
        "[]",
    ]


def test_xdistill_help_lists_the_commands(installed):
    done = installed("xdistill", "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: xdistill <command>")


def test_xdistill_info_shows_the_bundled_checkpoints(installed):
    done = installed("xdistill", "info", "--image-size", "32", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    bundled = [path.parent.name for path in (ROOT / "xdistill_encoder" / "weights").glob("*/config.json")]
    assert bundled
    assert all(name in done.stdout for name in bundled)


def test_xdistill_copy_takes_the_recipe_out_of_the_wheel(installed):
    done = installed("xdistill", "copy", "distillation")
    assert done.returncode == 0, done.stderr
    copied = {path.name: path.read_bytes() for path in (installed.folder / "distillation").glob("*.py")}
    assert copied == {path.name: path.read_bytes() for path in (ROOT / "distillation").glob("*.py")}


@pytest.mark.parametrize(
    ("command", "extras"), [("distill", "recipes"), ("finetune", "recipes"), ("demo", "recipes,metaworld")]
)
def test_a_recipe_without_its_extras_ends_in_one_line_of_advice(installed, command, extras):
    done = installed("xdistill", command, "--help")
    assert done.returncode == 1
    assert re.fullmatch(
        rf"xdistill {command}: the package '\w+' is not installed; "
        rf"this command needs: pip install 'xdistill-encoder\[{extras}\]'\n",
        done.stderr,
    )
