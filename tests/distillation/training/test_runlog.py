import json
import time

import pytest
from accelerate import Accelerator

from distillation.training.runlog import RunLog, read_rows


def test_rows_beyond_the_step_of_a_resumed_run_and_a_line_cut_off_are_dropped(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"st')
    log = RunLog(path, Accelerator(cpu=True), batch_size=4, start=2, steps=9)
    log.write(3, loss=0.5)
    rows = read_rows(path)
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert rows[-1]["loss"] == 0.5
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_a_row_tells_speed_and_the_share_of_time_spent_waiting(tmp_path):
    log = RunLog(tmp_path / "log.jsonl", Accelerator(cpu=True), batch_size=4, start=0, steps=9)
    assert log.wait_for(iter(["batch"])) == "batch"
    log.advance()
    log.write(2, loss=0.5)
    (row,) = read_rows(log.path)
    assert 0 <= row["data_wait_share"] <= 1
    assert row["images_per_second"] > 0
    assert row.keys() == {"step", "loss", "images_per_second", "data_wait_share"}
    assert log.bar.n == 4


def test_time_in_which_nothing_was_learned_is_no_part_of_the_speed(tmp_path):
    log = RunLog(tmp_path / "log.jsonl", Accelerator(cpu=True), batch_size=4, start=0, steps=9)
    began = time.monotonic()
    time.sleep(0.3)
    log.skip(time.monotonic() - began)
    log.advance()
    log.write(1, loss=0.5)
    (row,) = read_rows(log.path)
    assert row["images_per_second"] > 4 / 0.2  # four images in less than the 0.3 s that were left out


def test_waiting_ends_with_the_batches(tmp_path):
    log = RunLog(tmp_path / "log.jsonl", Accelerator(cpu=True), batch_size=4, start=0, steps=9)
    with pytest.raises(StopIteration):
        log.wait_for(iter([]))
