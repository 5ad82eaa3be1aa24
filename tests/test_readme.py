"""The README's code, run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=[block.splitlines()[0] for block in BLOCKS])
def test_a_python_block_of_the_readme_runs_by_itself(block, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "XDISTILL_CLONE": str(ROOT)}
    subprocess.run([sys.executable, "-W", "error", "-c", block], check=True, cwd=tmp_path, env=environment)


def test_the_first_20_lines_show_what_it_is_in_three_lines_of_use():
    top = "\n".join(README.splitlines()[:20])
    assert "```python" in top
    assert "from_pretrained" in top


def test_every_command_and_path_that_the_readme_names_exists():
    from xdistill_encoder.cli import COMMANDS

    commands = set(re.findall(r"xdistill ([a-z][a-z-]*)", README))
    assert commands <= {name.partition(" ")[0] for name in COMMANDS}
    tree = README[README.index("## The tree") :]
    for path in re.findall(r"^([\w./]+/|[\w]+\.py)\s", tree, flags=re.MULTILINE):
        assert (ROOT / path).exists(), path
