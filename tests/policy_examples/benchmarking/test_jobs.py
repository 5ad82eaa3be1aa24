import pytest

from policy_examples.benchmarking.jobs import failure_reason
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


def test_a_run_that_left_no_log_has_a_reason(tmp_path):
    assert failure_reason(Finished("run", 2), tmp_path / "none") == "exit status 2, and it printed nothing"
