import os
import sys
import time

import pytest

from policy_examples.benchmarking.launchers import Job, note_on_sharing, run_local


@pytest.fixture
def job(tmp_path):
    """(name, program) -> a job that runs the Python program."""
    return lambda name, program: Job(name, (sys.executable, "-c", program), tmp_path / name / "log")


def never() -> bool:
    return False


def test_a_job_that_fails_does_not_stop_the_others(job):
    jobs = [
        job("bad", "raise SystemExit(3)"),
        job("killed", "import os; os.kill(os.getpid(), 9)"),
        job("good", "print(1)"),
    ]
    assert {ended.name: ended.status for ended in run_local(jobs, 1, never)} == {"bad": 3, "killed": -9, "good": 0}


def test_what_a_job_prints_is_appended_to_its_log(job):
    for _ in range(2):
        list(run_local([job("a", "import sys; print('out'); print('err', file=sys.stderr)")], 1, never))
    text = job("a", "").log.read_text()
    assert sorted(text.split()) == ["err", "err", "out", "out"]


def test_as_many_jobs_run_side_by_side_as_were_asked_for(job, tmp_path):
    """Each waits for the other's file, so that one after the other they would fail."""
    program = (
        "import pathlib, sys, time\n"
        "pathlib.Path({mine!r}).touch()\n"
        "for _ in range(600):\n"
        "    if pathlib.Path({other!r}).exists(): sys.exit(0)\n"
        "    time.sleep(0.05)\n"
        "sys.exit(1)"
    )
    a, b = str(tmp_path / "a.file"), str(tmp_path / "b.file")
    jobs = [job("a", program.format(mine=a, other=b)), job("b", program.format(mine=b, other=a))]
    assert [ended.status for ended in run_local(jobs, 2, never)] == [0, 0]


def test_stopping_asks_what_runs_to_save_and_starts_nothing_more(job, tmp_path):
    saving = (
        "import pathlib, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))\n"
        f"pathlib.Path({str(tmp_path / 'ready')!r}).touch()\n"
        "time.sleep(60)"
    )
    jobs = [job("running", saving), job("waiting", "print(1)")]
    ended = list(run_local(jobs, 1, (tmp_path / "ready").exists))
    assert [(each.name, each.status) for each in ended] == [("running", 130)]


def test_leaving_early_leaves_no_process_behind(job, tmp_path):
    forking = (
        "import os, pathlib, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(child.pid))\n"
        "time.sleep(60)"
    )
    running = run_local([job("quick", "print(1)"), job("slow", forking)], 2, never)
    assert next(running).name == "quick"
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        time.sleep(0.05)
    running.close()  # type: ignore[attr-defined]
    pid = int((tmp_path / "pid").read_text())
    for _ in range(200):
        if not runs(pid):
            break
        time.sleep(0.05)
    assert not runs(pid)


def runs(pid: int) -> bool:
    """Whether a process is there that is more than a record for its parent."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_jobs_side_by_side_share_the_cores(job, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    list(run_local([job("a", "import os; print(os.environ.get('OMP_NUM_THREADS'))")], 2, never))
    assert int(job("a", "").log.read_text()) == max(1, (os.cpu_count() or 1) // 2)


def test_gpus_are_dealt_out_in_turn(job, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    program = "import os, time; print(os.environ['CUDA_VISIBLE_DEVICES']); time.sleep(1)"
    list(run_local([job(name, program) for name in "abc"], 3, never))
    assert sorted(job(name, "").log.read_text().strip() for name in "abc") == ["4", "4", "7"]


def test_runs_that_would_share_a_gpu_in_turns_are_told_how_to_share_it_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(tmp_path / "mps"))
    assert "nvidia-cuda-mps-control -d" in (note_on_sharing(2, ["0"]) or "")
    assert note_on_sharing(2, ["0", "1"]) is None
    assert note_on_sharing(2, []) is None
    (tmp_path / "mps").mkdir()  # the daemon runs
    assert note_on_sharing(2, ["0"]) is None
