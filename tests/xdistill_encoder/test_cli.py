import importlib
import importlib.util
import subprocess
import sys

import pytest

from xdistill_encoder import __version__, cli


@pytest.fixture
def xdistill(monkeypatch):
    """xdistill(*arguments) runs the command line in this process; sys.argv, sys.path come back afterwards."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["xdistill", *arguments])
        monkeypatch.setattr(sys, "path", list(sys.path))
        cli.main()

    return run


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_help_lists_every_command_with_its_purpose(xdistill, capsys, arguments):
    xdistill(*arguments)
    shown = capsys.readouterr().out
    assert shown.startswith("usage: xdistill <command> [options]")
    for name, (_, purpose) in cli.COMMANDS.items():
        assert f"  {name} " in shown
        assert purpose in shown


def test_every_command_has_its_group():
    assert sorted(name for group in cli.GROUPS.values() for name in group) == sorted(cli.COMMANDS)


def test_version_is_the_packages(xdistill, capsys):
    xdistill("--version")
    assert capsys.readouterr().out == f"{__version__}\n"


def test_help_does_not_wait_for_torch():
    program = "import sys; from xdistill_encoder import cli; cli.main(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == f"{cli.usage()}\nFalse\n"


def test_the_public_names_are_there_when_they_are_asked_for():
    import xdistill_encoder

    assert [getattr(xdistill_encoder, name).__name__ for name in dir(xdistill_encoder) if name != "__version__"] == [
        "CheckpointError",
        "XDistillResNet18",
        "bundled_checkpoints",
        "spatial_softmax",
    ]
    with pytest.raises(AttributeError, match="module 'xdistill_encoder' has no attribute 'ResNet'"):
        xdistill_encoder.ResNet  # noqa: B018


def test_an_unknown_command_lists_the_known_ones(xdistill):
    with pytest.raises(SystemExit) as caught:
        xdistill("distil")
    assert str(caught.value) == f"xdistill: no command 'distil'\n\n{cli.usage()}"
    assert all(name in cli.usage() for name in cli.COMMANDS)


def test_a_reader_that_has_read_enough_ends_a_command_quietly():
    command = [sys.executable, "-m", "xdistill_encoder.cli", "info", "--image-size", "32"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        process.stdout.close()
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert errors == ""


def test_the_first_word_of_several_commands_lists_them(xdistill, capsys):
    xdistill("explain", "--help")
    shown = capsys.readouterr().out
    assert "  explain saliency " in shown
    assert "  distill " not in shown
    with pytest.raises(SystemExit, match="'explain' is the first word of 4 commands"):
        xdistill("explain")


def test_every_command_of_the_table_is_a_file_with_a_main():
    for module, _ in cli.COMMANDS.values():
        spec = importlib.util.find_spec(module)
        assert spec is not None, module
        assert spec.origin is not None
        with open(spec.origin, encoding="utf-8") as file:
            assert "\ndef main(" in file.read(), module


def test_a_commands_own_help_carries_its_name(xdistill, capsys):
    with pytest.raises(SystemExit) as caught:
        xdistill("info", "--help")
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("usage: xdistill info ")


def test_a_missing_package_ends_in_one_line_of_advice(tmp_path, monkeypatch):
    (tmp_path / "needs_more.py").write_text("import package_that_nobody_has.deep\n")
    monkeypatch.setattr(sys, "argv", ["xdistill needs_more"])
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(SystemExit) as caught:
        cli.run("needs_more")
    assert str(caught.value) == (
        "xdistill needs_more: the package 'package_that_nobody_has' is not installed; "
        "this command needs: pip install 'xdistill-encoder[recipes]'"
    )


def test_a_package_that_is_missing_only_once_the_command_runs_ends_in_advice_too(tmp_path, monkeypatch):
    (tmp_path / "needs_later.py").write_text("def main():\n    import package_that_nobody_has\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(SystemExit, match="the package 'package_that_nobody_has' is not installed"):
        cli.run("needs_later")


@pytest.mark.parametrize(("package", "extra"), cli.EXTRAS.items())
def test_a_package_of_an_extra_is_advised_by_the_extra_that_brings_it(package, extra, tmp_path, monkeypatch):
    tomllib = pytest.importorskip("tomllib")  # Python 3.11, which all extras of the recipes need
    extras = tomllib.loads((cli.PACKAGE.parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    brought = "metaworld" if package == "mujoco" else package.replace("_", "-")  # MetaWorld brings MuJoCo
    assert any(line.startswith(brought) for line in extras[extra])
    (tmp_path / f"needs_{package}.py").write_text(f"def main():\n    import {package}\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setitem(sys.modules, package, None)  # as where it is not installed
    with pytest.raises(SystemExit, match=rf"pip install 'xdistill-encoder\[recipes,{extra}\]'"):
        cli.run(f"needs_{package}")


def test_a_missing_distribution_is_advised_like_its_module(tmp_path, monkeypatch):
    """importlib.metadata names a distribution, which may have a hyphen, where an import names a module."""
    (tmp_path / "needs_version.py").write_text(
        "from importlib.metadata import PackageNotFoundError\n\n\n"
        "def main():\n    raise PackageNotFoundError('gymnasium-robotics')\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(cli, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r"'xdistill-encoder\[recipes,adroit\]'"):
        cli.run("needs_version")


def test_ctrl_c_ends_a_command_in_a_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "interrupted.py").write_text("def main():\n    raise KeyboardInterrupt\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "argv", ["xdistill interrupted"])
    with pytest.raises(SystemExit) as ended:
        cli.run("interrupted")
    assert ended.value.code == 130
    assert capsys.readouterr().err == "\nxdistill interrupted: interrupted\n"


@pytest.mark.parametrize("module", ["xdistill_encoder.no_such_module", "torch.no_such_module"])
def test_a_wrong_import_of_something_that_is_installed_is_a_traceback(tmp_path, monkeypatch, module):
    name = f"imports_{module.partition('.')[0]}"
    (tmp_path / f"{name}.py").write_text(f"import {module}\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        cli.run(name)


def test_a_clone_takes_the_recipes_from_beside_the_package():
    assert cli.recipes_folder() == cli.PACKAGE.parent
    assert (cli.recipes_folder() / "distillation" / "train.py").is_file()
