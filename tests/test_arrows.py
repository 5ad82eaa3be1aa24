"""Who may import whom: distillation -> xdistill_encoder <- policy_examples, hubconf -> xdistill_encoder."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("xdistill_encoder", "distillation", "policy_examples", "hubconf")
CORE_DEPENDENCIES = {"torch", "torchvision", "huggingface_hub", "safetensors"}
OF_EXTRAS = {
    "xdistill_encoder/exporting/onnx_files.py": {"onnx", "onnxruntime"},
    "xdistill_encoder/exporting/pictures.py": {"PIL"},
    "xdistill_encoder/hosts/gymnasium.py": {"gymnasium", "numpy"},
    "xdistill_encoder/hosts/lerobot/backbones.py": {"lerobot"},
    "xdistill_encoder/hosts/lerobot/policies.py": {"lerobot"},
    "xdistill_encoder/hosts/lerobot/stock.py": {"lerobot"},
    "xdistill_encoder/hosts/robomimic.py": {"robomimic"},
    "xdistill_encoder/hosts/timm_group_norm.py": {"timm"},
    "xdistill_encoder/hosts/torchrl.py": {"tensordict", "torchrl"},
}
"""File of the product that imports what an extra installs -> that."""


def imports(path: Path) -> set[str]:
    """Every module that a file imports, inside functions too, as absolute dotted names."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: line {node.lineno}: relative import; this tree imports by full names"
            assert node.module is not None
            found.add(node.module)
    return found


def packages(room: str) -> dict[str, set[str]]:
    """File of a room -> top-level packages that it imports."""
    files = sorted((ROOT / room).rglob("*.py")) or [ROOT / f"{room}.py"]
    return {str(file.relative_to(ROOT)): {name.partition(".")[0] for name in imports(file)} for file in files}


def breaches(room: str, forbidden: set[str]) -> dict[str, set[str]]:
    return {file: found & forbidden for file, found in packages(room).items() if found & forbidden}


def test_every_room_has_files_that_are_read():
    assert {room: len(packages(room)) > 0 for room in ROOMS} == dict.fromkeys(ROOMS, True)


def test_the_product_imports_its_four_dependencies_the_standard_library_and_itself():
    allowed = CORE_DEPENDENCIES | sys.stdlib_module_names | {"xdistill_encoder"}
    foreign = {file: found - allowed for file, found in packages("xdistill_encoder").items() if found - allowed}
    assert foreign == OF_EXTRAS


def test_what_an_extra_installs_is_imported_by_its_command_alone():
    listing = "import sys, xdistill_encoder, xdistill_encoder.cli, xdistill_encoder.export; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", listing], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert {name.partition(".")[0] for name in loaded.split()} & {"onnx", "onnxruntime"} == set()


def test_hubconf_imports_the_product_alone():
    assert packages("hubconf") == {"hubconf.py": {"xdistill_encoder"}}


@pytest.mark.parametrize(
    ("room", "others"),
    [
        ("distillation", {"policy_examples", "hubconf", "tests"}),
        ("policy_examples", {"distillation", "hubconf", "tests"}),
    ],
)
def test_the_recipes_do_not_import_each_other(room, others):
    assert breaches(room, others) == {}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("import distillation.train as t, os", {"distillation.train", "os"}),
        ("from policy_examples import demo", {"policy_examples"}),
        ("def f():\n    from torch.nn import functional", {"torch.nn"}),
        ("try:\n    import zarr\nexcept ImportError:\n    pass", {"zarr"}),
    ],
)
def test_imports_are_found_wherever_they_stand(tmp_path, line, found):
    (tmp_path / "file.py").write_text(line)
    assert imports(tmp_path / "file.py") == found
