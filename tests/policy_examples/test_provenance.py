import os
import subprocess
import sys
from pathlib import Path

from policy_examples.provenance import commit

GIT = ["git", "-c", "user.name=t", "-c", "user.email=t@t"]


def test_the_commit_of_a_checkout_is_named_and_a_change_marks_it(tmp_path, monkeypatch):
    file = tmp_path / "code.py"
    file.write_text("1")
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*GIT, *arguments], cwd=tmp_path, check=True)
    head = subprocess.run([*GIT, "rev-parse", "HEAD"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert commit(file) == head[:12]
    file.write_text("2")
    assert commit(file) == head[:12] + "-dirty"
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # as in a container that mounts it
    assert commit(file) == head[:12] + "-dirty"


def test_a_folder_without_tracked_files_has_the_commit_that_the_environment_states(tmp_path, monkeypatch):
    installed = tmp_path / "environment" / "code.py"
    installed.parent.mkdir()
    installed.write_text("1")
    assert commit(installed) is None
    subprocess.run([*GIT, "init", "-q"], cwd=tmp_path, check=True)
    assert commit(installed) is None
    monkeypatch.setenv("XDISTILL_COMMIT", "0123456789ab")
    assert commit(installed) == "0123456789ab"


def test_the_command_is_what_one_types():
    code = "from policy_examples.provenance import command; print(command())"
    printed = subprocess.run(
        [sys.executable, "-c", code, "--name", "two words"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed.strip().endswith("--name 'two words'")


def test_the_command_names_what_the_command_line_ran_however_it_was_started(tmp_path):
    """As with `python -m xdistill_encoder.cli finetune --steps 5`, which sets argv so."""
    (tmp_path / "started.py").write_text(
        "import sys\n"
        "from policy_examples.provenance import command\n"
        "sys.argv = ['xdistill finetune', '--steps', '5']\n"
        "print(command())\n"
    )
    root = Path(__file__).parents[2]
    for started in (["-m", "started"], [f"{tmp_path}/started.py"]):
        printed = subprocess.run(
            [sys.executable, *started],
            env=os.environ | {"PYTHONPATH": f"{root}:{tmp_path}"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert printed == "xdistill finetune --steps 5\n"
