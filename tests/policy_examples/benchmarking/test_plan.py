import os
import signal
import threading
from dataclasses import replace

import pytest

from policy_examples.benchmarking import plan
from policy_examples.benchmarking.plan import cost_from_rows, describe_plan, measure
from policy_examples.benchmarking.results import append_rows
from policy_examples.benchmarking.runfiles import describe_machine
from policy_examples.benchmarking.runs import EncoderChoice, Run, plan_runs
from tests.policy_examples.benchmarking.rows import row


def finished(run: Run, minutes: float):
    made = row(run.encoder.name, run.task, run.seed, 0.5, machine=describe_machine())
    return replace(made, minutes=minutes, command=run.command())


def test_hours_follow_from_finished_runs(tmp_path):
    """Of 12 runs 8 are to go, 4 of 6 minutes (the median), 4 of 3: 36 minutes, 18 with two at a time."""
    runs = plan_runs(["reach", "sweep"], ["xdistill", "blind"], [0, 1, 2], "cpu")
    blind, seeing = ([run for run in runs if run.encoder.name == name] for name in ("blind", "xdistill"))
    append_rows(tmp_path / "results.csv", [finished(seeing[0], 4), finished(seeing[1], 8)])
    append_rows(tmp_path / "results.csv", [finished(blind[0], 3), finished(blind[1], 3)])
    text = "\n".join(describe_plan(runs, tmp_path / "results.csv", jobs=2, processes=1, experts=None))
    assert text.startswith("12 runs, 4 finished, 8 to go on")
    assert "xdistill: 4 runs of 6.0 minutes (median of 2 finished ones)" in text
    assert "blind: 4 runs of 3.0 minutes" in text
    assert "about 0.3 hours with 2 at a time" in text


def test_rows_of_another_task_and_seed_count_those_of_other_settings_say_nothing():
    run = Run("reach", EncoderChoice("xdistill"), 0, "cpu")
    cost = cost_from_rows(run, [finished(replace(run, task="sweep", seed=2), 5)])
    assert cost is not None
    assert cost.minutes == 5
    others = [{"preset": "dp3"}, {"steps": 100}, {"demonstrations": 50}, {"encoder": EncoderChoice("blind")}]
    others += [{"encoder": EncoderChoice("xdistill", norm="group")}]
    for change in others:
        assert cost_from_rows(run, [finished(replace(run, **change), 5)]) is None
        assert cost_from_rows(replace(run, **change), [finished(run, 5)]) is None
    assert cost_from_rows(run, [replace(finished(run, 5), machine="a GPU")]) is None


def test_ctrl_c_during_a_measurement_ends_the_plan(rendering, tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "MEASURED_STEPS", 100_000)  # more than the signal takes
    usual, over = signal.getsignal(signal.SIGINT), threading.Event()

    def interrupt_once_it_learns() -> None:
        while signal.getsignal(signal.SIGINT) is usual:
            if over.wait(0.01):
                return
        os.kill(os.getpid(), signal.SIGINT)

    waiting = threading.Thread(target=interrupt_once_it_learns)
    waiting.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            list(describe_plan(plan_runs(["drawer-close"], ["blind"], [0], "smoke"), tmp_path / "r.csv", 1, 1, None))
    finally:
        over.set()
        waiting.join()


def test_a_short_measurement_stands_in_for_finished_runs(rendering, capsys):
    cost = measure(Run("drawer-close", EncoderChoice("blind"), 0, "smoke"), processes=1, experts=None)
    assert 0 < cost.minutes < 10
    assert capsys.readouterr().out == ""  # six steps are not the run's length
    assert cost.source.startswith("measured on drawer-close")


def test_an_encoder_that_cannot_be_had_is_reported_beside_the_others(rendering, tmp_path):
    runs = plan_runs(["drawer-close"], [f"xdistill,checkpoint={tmp_path}/none"], [0], "smoke")
    text = "\n".join(describe_plan(runs, tmp_path / "results.csv", jobs=1, processes=1, experts=None))
    assert "1 runs, which cannot be measured: " in text
    assert "about 0.0 hours with 1 at a time, without those that cannot be measured" in text


@pytest.fixture(autouse=True)
def no_signals_left_behind():
    """`train` puts its own handlers for SIGINT and SIGTERM; they must be gone afterwards."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    assert signal.getsignal(signal.SIGTERM) is before
