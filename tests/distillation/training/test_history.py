import io
import time

import pytest
import torch

from distillation.training.history import History


def launch(**changes) -> dict[str, object]:
    versions = {"torch": "2.6", "timm": "1.0"}
    facts = {"command": "xdistill distill", "commit": "aaa", "versions": versions, "date": "2025-01-01"}
    return facts | {"device": "H200", "processes": 8} | changes


def resumed(history: History, **changes) -> History:
    """After a checkpoint as torch writes it."""
    file = io.BytesIO()
    torch.save(history.state_dict(), file)
    file.seek(0)
    after = History(launch(**changes), {"started_from": {"name": "another"}})
    after.load_state_dict(torch.load(file, weights_only=True))
    return after


def test_a_run_of_one_launch_is_that_launch():
    provenance = History(launch(commit=None), {}).provenance()
    assert {key: provenance[key] for key in launch()} == launch(commit=None)
    assert "started_from" not in provenance


def test_launches_that_differ_are_all_told_and_a_dirty_commit_is_seen():
    origin = {"started_from": {"name": "kettle", "provenance": {"scores": [{"knn": 0.5, "of": None}]}}}
    history = resumed(History(launch(commit="aaa-dirty"), origin), commit="bbb", processes=2)
    history = resumed(history, commit="ccc", device="A100", versions={"torch": "2.7", "timm": "1.0"}, date="2025-01-09")
    provenance = history.provenance()
    assert provenance["commit"] == "bbb, ccc, aaa-dirty"
    assert (provenance["device"], provenance["processes"]) == ("H200; A100", "8, 2")
    assert provenance["versions"] == {"torch": "2.6, 2.7", "timm": "1.0"}
    assert (provenance["command"], provenance["date"]) == ("xdistill distill", "2025-01-09")
    assert provenance["started_from"] == origin["started_from"]


def test_the_same_launch_again_is_no_other():
    history = History(launch(), {})
    for day in range(2, 9):
        history = resumed(history, date=f"2025-01-0{day}")
    assert len(history.launches) == 1
    assert history.provenance()["commit"] == "aaa"
    assert resumed(history, commit=None).provenance()["commit"] == "aaa, unknown"


def test_device_hours_add_up_over_launches_of_other_numbers_of_processes(monkeypatch):
    clock = iter([0, 100, 3700, 5000, 5000, 12200])  # made, begun, saved; made, begun, exported
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    first = History(launch(processes=8), {})
    first.begin()
    second = resumed(first, processes=2)
    second.begin()
    provenance = second.provenance()
    assert provenance["hours"] == pytest.approx(1 + 2)
    assert provenance["device_hours"] == pytest.approx(1 * 8 + 2 * 2)
