import sys
from pathlib import Path

import pytest

from xdistill_encoder import copying
from xdistill_encoder.cli import recipes_folder
from xdistill_encoder.copying import copy_recipe


def sources(folder: Path) -> dict[str, bytes]:
    """Relative path -> content, without what Python compiles."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.mark.parametrize("recipe", ["distillation", "policy_examples"])
def test_a_recipe_is_copied_whole_without_compiled_files(tmp_path, recipe):
    target = copy_recipe(recipe, tmp_path)
    assert target == tmp_path / recipe
    assert sources(target) == sources(recipes_folder() / recipe)
    assert not list(target.rglob("__pycache__"))


def test_the_destination_is_created_and_holds_nothing_but_the_recipe(tmp_path):
    copy_recipe("distillation", tmp_path / "my" / "lab")
    assert [path.name for path in (tmp_path / "my" / "lab").iterdir()] == ["distillation"]


def test_a_folder_that_is_there_is_left_as_it_is(tmp_path):
    (tmp_path / "distillation").mkdir()
    (tmp_path / "distillation" / "mine.py").write_text("mine")
    with pytest.raises(
        FileExistsError, match="distillation exists already and is left as it is; move it or give another"
    ):
        copy_recipe("distillation", tmp_path)
    assert sources(tmp_path) == {"distillation/mine.py": b"mine"}


def test_an_unknown_recipe_lists_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match="recipe: expected one of distillation, policy_examples, got 'tests'"):
        copy_recipe("tests", tmp_path)


def test_the_command_copies_to_the_current_folder_and_says_how_to_run_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["xdistill copy", "distillation"])
    copying.main()
    assert capsys.readouterr().out == (
        f"distillation is yours to change; it runs with: cd {tmp_path} && python -m distillation.train --help\n"
        "the commands of `xdistill` go on running the installed one\n"
    )
    assert (tmp_path / "distillation" / "train.py").is_file()


@pytest.mark.parametrize("blocked", ["distillation", "."])
def test_the_command_ends_in_one_line_where_something_is_in_the_way(tmp_path, monkeypatch, blocked):
    destination = tmp_path / "lab"
    if blocked == ".":
        destination.write_text("a file, no folder")
    else:
        (destination / blocked).mkdir(parents=True)
    monkeypatch.setattr(sys, "argv", ["xdistill copy", "distillation", str(destination)])
    with pytest.raises(SystemExit, match=r"^xdistill copy: .*lab"):
        copying.main()


def test_the_command_that_is_printed_can_be_pasted(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["xdistill copy", "distillation", str(tmp_path / "my robots")])
    copying.main()
    assert f"cd '{tmp_path}/my robots' && python -m distillation.train --help" in capsys.readouterr().out
