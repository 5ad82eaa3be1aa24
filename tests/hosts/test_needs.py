import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import tomllib

from xdistill_encoder.hosts.needs import TRIED, require_host

ROOT = Path(__file__).parents[2]
HIDE = """
import sys
from importlib.machinery import PathFinder

class Hidden:
    "What PathFinder finds, without one host."

    def find_spec(name, path=None, target=None):
        return None if name.partition(".")[0] == {host!r} else PathFinder.find_spec(name, path, target)

    def find_distributions(context):
        return iter(()) if context.name == {host!r} else PathFinder.find_distributions(context)

sys.meta_path[:] = [Hidden if finder is PathFinder else finder for finder in sys.meta_path]
"""
EXPORT = (
    "from xdistill_encoder import XDistillResNet18; from xdistill_encoder.{module} import {name};"
    "{name}(XDistillResNet18('batch'), 'x{suffix}')"
)
USES = {  # host: (what a user writes, what it says to install)
    "gymnasium": ("import xdistill_encoder.hosts.gymnasium", "'xdistill-encoder[gymnasium]'"),
    "lerobot": ("import xdistill_encoder.hosts.lerobot", "'xdistill-encoder[lerobot]'"),
    "onnx": (EXPORT.format(module="export", name="export_onnx", suffix=".onnx"), "'xdistill-encoder[export]'"),
    "onnxruntime": (EXPORT.format(module="export", name="export_onnx", suffix=".onnx"), "'xdistill-encoder[export]'"),
    "onnxscript": (EXPORT.format(module="export", name="export_onnx", suffix=".onnx"), "'xdistill-encoder[export]'"),
    "robomimic": (
        "import xdistill_encoder.hosts.robomimic",
        "'xdistill-encoder[robomimic]' && pip install --no-deps robomimic==0.3.0",
    ),
    "timm": (EXPORT.format(module="hosts.timm", name="export_timm", suffix=""), "'xdistill-encoder[timm]'"),
    "torchrl": ("import xdistill_encoder.hosts.torchrl", "'xdistill-encoder[torchrl]'"),
    "transformers": (
        EXPORT.format(module="hosts.transformers", name="export_transformers", suffix=""),
        "'xdistill-encoder[transformers]'",
    ),
}


@pytest.mark.parametrize("host", TRIED)
def test_an_adapter_without_its_host_says_what_to_install(host, tmp_path, monkeypatch):
    program, install = USES[host]
    hidden = [name for name in sys.modules if name.partition(".")[0] == host]
    for name in [*hidden, *(name for name in sys.modules if name.startswith("xdistill_encoder.hosts."))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", sys.meta_path.copy())
    monkeypatch.chdir(tmp_path)
    exec(HIDE.format(host=host), {})
    with pytest.raises(ImportError) as told:
        exec(program, {})
    assert str(told.value) == f"needs {host}, which is not installed: pip install {install}"
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_it_in_one_line_too(tmp_path):
    program = "sys.argv = ['xdistill', 'export', 'x.onnx']; from xdistill_encoder.cli import main; main()"
    path = f"sys.path.insert(0, {str(ROOT)!r})\n"
    command = [sys.executable, "-W", "ignore", "-c", HIDE.format(host="onnxscript") + path + program]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    told = done.stderr.splitlines()[-1]
    assert told == ("xdistill export: needs onnxscript, which is not installed: pip install 'xdistill-encoder[export]'")


def test_an_untried_version_is_told_with_what_to_install(monkeypatch):
    monkeypatch.setitem(TRIED, "torch", (("900.1", "900.2"), ("901", "902")))
    told = r"tried with torch from 900.1 up to, without, 900.2 or from 901 up to, without, 902; installed is .*: pip x"
    with pytest.raises(ImportError, match=told):
        require_host("torch", "pip x")
    monkeypatch.setitem(TRIED, "torch", (("2.6", "900"), ("901", "902")))
    require_host("torch", "pip x")


def test_onnxruntime_for_a_gpu_is_onnxruntime(monkeypatch):
    def version(name):
        if name == "onnxruntime":
            raise PackageNotFoundError(name)
        return {"onnxruntime-gpu": "1.25.0"}[name]

    monkeypatch.setitem(require_host.__globals__, "version", version)  # others here import the module anew
    require_host("onnxruntime", "pip x")
    monkeypatch.setitem(TRIED, "onnxruntime", (("1.26", "2"),))
    with pytest.raises(ImportError, match="installed is 1.25.0"):
        require_host("onnxruntime", "pip x")


def test_the_extras_install_versions_that_the_adapters_accept():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = ("export", "gymnasium", "lerobot", "timm", "torchrl", "transformers")
    lines = [re.sub(r"\[.*?\]|;.*", "", line) for extra in named for line in extras[extra]]
    wanted = [f"{host}>={first},<{before}" for host in TRIED for first, before in TRIED[host] if host != "robomimic"]
    assert sorted(wanted) == sorted(line for line in lines if not line.startswith("pillow"))
    assert not any(line.startswith("robomimic") for line in extras["robomimic"])  # it comes without what it requires
