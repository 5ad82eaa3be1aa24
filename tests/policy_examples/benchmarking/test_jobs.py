import subprocess

import pytest

from policy_examples.benchmarking.jobs import Session, failure_reason, job_of
from policy_examples.benchmarking.launchers import Finished


@pytest.mark.parametrize(
    ("status", "printed", "reason"),
    [
        (1, "Traceback\n  line\nValueError: task: unknown\n\n", "ValueError: task: unknown"),
        (1, "50%|###  |\r100%|#####|\nRuntimeError: no memory", "RuntimeError: no memory"),
        (1, "", "exit status 1, and it printed nothing"),
        (-9, "step 5", "killed by SIGKILL; the system kills so where memory runs out"),
        (-11, "step 5", "killed by SIGSEGV"),
    ],
)
def test_a_failure_has_a_reason(tmp_path, status, printed, reason):
    (tmp_path / "log").write_text(printed)
    assert failure_reason(Finished("run", status), tmp_path / "log") == reason


def test_a_copy_of_the_recipes_in_the_working_folder_is_not_what_runs(tmp_path):
    copied = tmp_path / "policy_examples" / "benchmarking"
    copied.mkdir(parents=True)
    for folder in (copied.parent, copied):
        (folder / "__init__.py").touch()
    (copied / "worker.py").write_text("print('the copy')\n")
    *program, _ = job_of(Session(folder="run", store="store", points=False, suite="")).command
    ran = subprocess.run([*program, "{"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "the copy" not in ran.stdout
    assert "JSONDecodeError" in ran.stderr


def test_a_run_that_left_no_log_has_a_reason(tmp_path):
    assert failure_reason(Finished("run", 2), tmp_path / "none") == "exit status 2, and it printed nothing"
