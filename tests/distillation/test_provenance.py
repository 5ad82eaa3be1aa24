import re
import subprocess
import sys
from pathlib import Path

from distillation.provenance import commit

ROOT = Path(__file__).parents[2]


def test_the_commit_is_that_of_the_checkout_which_tracks_the_file(tmp_path):
    found = commit(ROOT / "distillation" / "provenance.py")
    assert found is None or re.fullmatch("[0-9a-f]{12}(-dirty)?", found)
    for arguments in (
        ["init", "-q"],
        ["-c", "user.name=a", "-c", "user.email=b", "commit", "-qm", "c", "--allow-empty"],
    ):
        subprocess.run(["git", "-C", tmp_path, *arguments], check=True)
    installed = tmp_path / "provenance.py"
    installed.touch()
    assert commit(installed) is None  # lies within a checkout that does not know it


def test_a_machine_without_git_has_no_commit(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert commit(ROOT / "distillation" / "provenance.py") is None


def test_the_command_is_what_one_types():
    program = "import sys; sys.argv = ['/env/bin/xdistill distill', '--output', 'a folder'];"
    program += "from distillation.provenance import command; print(command())"
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout == "xdistill distill --output 'a folder'\n"
