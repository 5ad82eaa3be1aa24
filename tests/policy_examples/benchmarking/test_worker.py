import json
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from policy_examples.benchmarking.jobs import Session, read_session
from policy_examples.benchmarking.results import read_rows
from policy_examples.benchmarking.runfiles import describe_run, read_run, write_run
from policy_examples.benchmarking.runs import EncoderChoice, Run
from policy_examples.benchmarking.worker import commits, work
from policy_examples.demos import FIRST_EVALUATION_SEED


@pytest.fixture
def run():
    """Long enough to be stopped, quick because it is blind."""
    return Run("drawer-close", EncoderChoice("blind"), seed=3, preset="smoke", steps=40)


@pytest.fixture
def session(run, tmp_path):
    describe_run(run, run.folder(tmp_path), "planned")
    return Session(str(run.folder(tmp_path)), str(run.store(tmp_path, points=False)), points=False, suite="smoke")


def test_a_stopped_run_goes_on_and_keeps_its_files(rendering, run, session):
    folder = Path(session.folder)

    def stop_once_it_learns() -> None:
        while not (folder / "log.jsonl").exists() or not (folder / "log.jsonl").read_text():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop_once_it_learns, daemon=True).start()
    assert not work(session, "abc")
    assert not (folder / "rows.csv").exists()
    assert commits(folder, "abc") == "abc"  # whose code trained; "planned" planned alone
    stopped_at = len((folder / "log.jsonl").read_text().splitlines())
    first_minutes = json.loads((folder / "minutes.json").read_text())

    assert work(session, "abc")
    (row,) = read_rows(folder / "rows.csv")
    assert (row.task, row.encoder, row.seed, row.steps, row.suite) == ("drawer-close", "blind", 3, 40, "smoke")
    assert (row.parameters, row.ms_per_frame, row.image_size_px, row.norm) == (0, None, None, "")
    assert (row.command, row.commit, row.demonstrations, row.difficulty) == (run.command(), "abc", 2, "easy")
    assert row.best == row.last == row.top5
    assert row.minutes >= round(first_minutes, 2)
    steps = [json.loads(line)["step"] for line in (folder / "log.jsonl").read_text().splitlines()]
    assert stopped_at < len(steps)
    assert steps == list(range(10, 41, 10))

    (episode,) = [json.loads(line) for line in (folder / "episodes-40.jsonl").read_text().splitlines()]
    assert episode == {"seed": FIRST_EVALUATION_SEED, "success": row.last == 1, "steps": episode["steps"]}
    assert (folder / ("success.mp4" if row.last else "failure.mp4")).read_bytes()[4:8] == b"ftyp"
    assert (folder / "learning_curve.png").exists()
    assert not (folder / "checkpoint.pt").exists()

    shifted = replace(session, shifts=("push",), keep_policies=False)
    assert work(shifted, "def")
    trained, pushed = read_rows(folder / "rows.csv")
    assert trained == row
    assert (pushed.shift, pushed.best, pushed.top5, pushed.evaluations, pushed.commit) == ("push", None, None, 1, "def")
    assert pushed.command == run.command("push")
    assert not (folder / "policy").exists()
    assert work(shifted, "def")  # there is nothing left to do
    assert len(read_rows(folder / "rows.csv")) == 2
    with pytest.raises(ValueError, match="shifts: expected a policy in .*, none was kept; delete the folder, and its"):
        work(replace(session, shifts=("camera",)), "def")


def test_a_training_that_other_code_goes_on_with_names_both_commits(session):
    folder = Path(session.folder)
    assert commits(folder, "def") == "planned..def"
    assert commits(folder, "planned") == "planned"
    assert commits(folder, None) is None


def test_a_folder_on_which_another_process_works_is_refused(session):
    from filelock import FileLock

    with (
        FileLock(Path(session.folder) / "run.lock"),
        pytest.raises(ValueError, match=r"output: another process runs in .*; wait for it"),
    ):
        work(session, None)


def test_a_run_says_what_it_ran_on_and_refuses_another_in_its_folder(run, session):
    folder = Path(session.folder)
    described = json.loads((folder / "run.json").read_text())
    assert read_run(folder) == run
    assert described["command"] == run.command()
    assert {"torch", "numpy", "mujoco"} <= set(described["packages"])
    assert {"machine", "python", "commit"} <= set(described)
    write_run(run, folder)
    with pytest.raises(ValueError, match=r"output: expected .* to be free for Run\(.*seed=4.*got Run\(.*seed=3"):
        write_run(replace(run, seed=4), folder)


def test_a_session_comes_back_as_its_process_was_told(session):
    from policy_examples.benchmarking.jobs import job_of

    told = replace(session, shifts=("light", "camera"), experts="experts")
    assert read_session(job_of(told).command[-1]) == told
