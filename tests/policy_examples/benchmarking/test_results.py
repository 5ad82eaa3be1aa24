import csv
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from policy_examples.benchmarking.results import COLUMNS, adopt_rows, append_rows, curve_of, curve_text, read_rows
from tests.policy_examples.benchmarking.rows import PLAIN

SHIFTED = replace(PLAIN, shift="light", best=None, top5=None, ms_per_frame=None, image_size_px=None, command="other")


def test_rows_come_back_as_they_were_written(tmp_path):
    append_rows(tmp_path / "folder/results.csv", [PLAIN])
    append_rows(tmp_path / "folder/results.csv", [SHIFTED])
    assert read_rows(tmp_path / "folder/results.csv") == [PLAIN, SHIFTED]
    assert (tmp_path / "folder/results.csv").read_text().count("suite,task") == 1


def test_rows_that_cannot_be_written_leave_those_before(tmp_path, monkeypatch):
    path = tmp_path / "results.csv"
    append_rows(path, [PLAIN])

    def full_disk(writer, rows):
        raise OSError("no space left on device")

    monkeypatch.setattr(csv.DictWriter, "writerows", full_disk)
    with pytest.raises(OSError, match="no space left"):
        append_rows(path, [SHIFTED])
    assert read_rows(path) == [PLAIN]


def test_the_columns_are_those_that_results_promise():
    promised = "suite task difficulty encoder checkpoint norm seed preset best last top5 episodes shift command commit"
    assert set(promised.split()) < set(COLUMNS)


def test_a_curve_is_read_as_it_was_written():
    evaluations = [(200, 0.05), (412, 1 / 3), (600, 0.2)]
    assert curve_of(replace(PLAIN, curve=curve_text(evaluations), best=1 / 3, last=0.2)) == evaluations
    assert curve_of(PLAIN) == []


@pytest.mark.parametrize("curve", ["0.5 0.6", "200:half", "200:0.5:0.6", "0.5:200"])
def test_another_text_than_a_curve_is_refused_with_its_run(curve):
    expected = 'csv: expected a curve such as "200:0.5 400:0.75" for xdistill on drawer-open with seed 0, got'
    with pytest.raises(ValueError, match=expected):
        curve_of(replace(PLAIN, curve=curve))


@pytest.mark.parametrize(
    "curve",
    [
        "200:0.5 600:0.5",  # of three
        "200:0.5 400:0.5 500:0.5",  # of 600 steps
        "400:0.5 200:0.5 600:0.5",
        "200:0.5 400:0.6 600:0.5",  # the best is 0.5
        "200:0.5 400:0.5 600:0.4",
    ],
)
def test_a_curve_that_disagrees_with_its_row_is_refused(curve):
    expected = "csv: expected a curve of 3 evaluations to step 600, the best 0.5, the last 0.5, for xdistill"
    with pytest.raises(ValueError, match=expected):
        curve_of(replace(PLAIN, curve=curve))


def test_two_rows_of_one_command_are_refused_before_anything_runs(tmp_path):
    append_rows(tmp_path / "all.csv", [PLAIN, PLAIN])
    with pytest.raises(ValueError, match="expected each command once in .*all.csv, got twice: xdistill benchmark"):
        adopt_rows(tmp_path / "run.csv", tmp_path / "all.csv")


def test_rows_are_adopted_once(tmp_path):
    append_rows(tmp_path / "run.csv", [PLAIN, SHIFTED])
    append_rows(tmp_path / "all.csv", [PLAIN])
    for _ in range(2):
        assert adopt_rows(tmp_path / "run.csv", tmp_path / "all.csv") == {PLAIN.command, "other"}
    assert read_rows(tmp_path / "all.csv") == [PLAIN, SHIFTED]
    assert adopt_rows(tmp_path / "missing.csv", tmp_path / "neither.csv") == set()


def test_processes_that_adopt_into_one_file_lose_no_row(tmp_path):
    sources = [tmp_path / f"{number}.csv" for number in range(8)]
    for number, source in enumerate(sources):
        append_rows(source, [replace(PLAIN, seed=number, command=f"run {number}")])
    with ThreadPoolExecutor(len(sources)) as pool:
        list(pool.map(lambda source: adopt_rows(source, tmp_path / "all.csv"), sources))
    assert sorted(row.seed for row in read_rows(tmp_path / "all.csv")) == list(range(8))


def test_rows_of_another_training_of_the_same_run_are_refused(tmp_path):
    """As where a folder was deleted, and trained again, while its rows stayed."""
    append_rows(tmp_path / "run.csv", [replace(PLAIN, last=0.1), SHIFTED])
    append_rows(tmp_path / "all.csv", [PLAIN])
    with pytest.raises(ValueError, match=r"csv: expected the rows of .*run.csv in .*all.csv, .*\(last differ"):
        adopt_rows(tmp_path / "run.csv", tmp_path / "all.csv")
    assert read_rows(tmp_path / "all.csv") == [PLAIN]


def test_a_file_with_other_columns_is_refused_and_left_alone(tmp_path):
    (tmp_path / "demo.csv").write_text("task,encoder\nreach,xdistill\n")
    with pytest.raises(ValueError, match=r"csv: expected the columns suite, task, .*, got \['task', 'encoder'\]"):
        append_rows(tmp_path / "demo.csv", [PLAIN])
    assert (tmp_path / "demo.csv").read_text() == "task,encoder\nreach,xdistill\n"


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (",600,", ",many,", "expected a number for steps in .*results.csv:2, got 'many'"),
        (",0.5,", ",,", "expected a number for last|expected a number for best"),
        (",0.5,0.5,", ",50,0.5,", r"expected a share in \[0, 1\] for last in .*results.csv:2, got '50'"),
        (",0.5,0.5,", ",nan,0.5,", r"expected a share in \[0, 1\] for last in .*results.csv:2, got 'nan'"),
        ("paper34,", "", "expected 29 cells in .*results.csv:2, got another number"),
        ("paper34,", "a,b,", "expected 29 cells in .*results.csv:2, got another number"),
    ],
)
def test_a_damaged_cell_is_named_with_its_line(tmp_path, before, after, message):
    path = tmp_path / "results.csv"
    append_rows(path, [replace(PLAIN, best=None)])
    path.write_text(path.read_text().replace(before, after, 1))
    with pytest.raises(ValueError, match=message):
        read_rows(path)


def test_a_missing_file_says_what_writes_one(tmp_path):
    with pytest.raises(ValueError, match=r"csv: expected a file of results, got .*; `xdistill benchmark` writes one"):
        read_rows(tmp_path / "none.csv")
