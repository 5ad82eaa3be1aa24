"""The code of docs/hosts, run where its host is installed."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "hosts"
NEEDS = {  # page: the package that its code imports
    "diffusion_policy": "torchvision",
    "gymnasium": "gymnasium",
    "lerobot": "lerobot",
    "onnx": "onnxruntime",
    "robomimic": "robomimic",
    "timm": "timm",
    "torchrl": "torchrl",
    "torchvision": "torchvision",
    "transformers": "transformers",
}
BLOCKS = [
    pytest.param(page, block, id=f"{page}-{number}")
    for page, package in NEEDS.items()
    if find_spec(package) is not None
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", (PAGES / f"{page}.md").read_text(), re.DOTALL))
]


def test_every_page_is_listed_here_and_in_the_readme():
    assert {page.stem for page in PAGES.glob("*.md")} == set(NEEDS)
    readme = (ROOT / "README.md").read_text()
    assert all(f"docs/hosts/{page}.md" in readme for page in NEEDS)


@pytest.mark.parametrize(("page", "block"), BLOCKS)
def test_a_block_of_a_page_runs_by_itself(page, block, tmp_path):
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}
    subprocess.run([sys.executable, "-W", "ignore", "-c", block], check=True, cwd=tmp_path, env=environment)
