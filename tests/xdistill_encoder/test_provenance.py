import os
import re
import subprocess
import sys
from pathlib import Path

from xdistill_encoder.provenance import commit

ROOT = Path(__file__).parents[2]
FILE = ROOT / "xdistill_encoder" / "provenance.py"


def test_the_commit_is_that_of_the_checkout_which_tracks_the_file(tmp_path):
    found = commit(FILE)
    assert found is None or re.fullmatch("[0-9a-f]{12}(-dirty)?", found)
    for arguments in (
        ["init", "-q"],
        ["-c", "user.name=a", "-c", "user.email=b", "commit", "-qm", "c", "--allow-empty"],
    ):
        subprocess.run(["git", "-C", tmp_path, *arguments], check=True)
    installed = tmp_path / "provenance.py"
    installed.touch()
    assert commit(installed) is None  # lies within a checkout that does not know it


def test_a_checkout_of_another_user_has_its_commit(monkeypatch):
    """As in a container that mounts it."""
    own = commit(FILE)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert commit(FILE) == own


def test_a_machine_without_git_has_no_commit(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert commit(FILE) is None
    monkeypatch.setenv("XDISTILL_COMMIT", "0123456789ab")  # code that was copied there
    assert commit(FILE) == "0123456789ab"


def test_rows_of_results_make_no_commit_dirty_and_code_does(tmp_path):
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=b"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True)

    files = ["room/code.py", "room/results/speed.csv", "results/deep/table.csv", "results/top.csv", "results.csv"]
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("a\n")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "c")
    git("tag", "-am", "a name of it", "v1")
    clean = commit(tmp_path / "room" / "code.py")
    assert clean
    assert re.fullmatch("[0-9a-f]{12}", clean)
    for file in ("room/results/speed.csv", "results/top.csv", "results.csv"):
        (tmp_path / file).write_text("b\n")
    assert commit(tmp_path / "room" / "code.py") == clean
    for file in ("results/deep/table.csv", "room/code.py"):
        (tmp_path / file).write_text("b\n")
        assert commit(tmp_path / "room" / "code.py") == f"{clean}-dirty"
        git("checkout", "-q", file)
    (tmp_path / "results" / "deep" / "table.csv").unlink()
    assert commit(tmp_path / "room" / "code.py") == f"{clean}-dirty"


def test_the_command_is_what_one_types():
    program = "import sys; sys.argv = ['/env/bin/xdistill distill', '--output', 'a folder'];"
    program += "from xdistill_encoder.provenance import command; print(command())"
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout == "xdistill distill --output 'a folder'\n"


def test_the_command_names_what_the_command_line_ran_when_it_is_started_as_a_module(tmp_path):
    (tmp_path / "started.py").write_text(
        "import sys\n"
        "from xdistill_encoder.provenance import command\n"
        "sys.argv = ['xdistill distill', '--epochs', '5']\n"  # as xdistill_encoder.cli does
        "print(command())\n"
    )
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{tmp_path}"}
    started = [sys.executable, "-m", "started"]
    printed = subprocess.run(started, env=environment, capture_output=True, text=True, check=True).stdout
    assert printed == "xdistill distill --epochs 5\n"
