import json
import time

from policy_examples.training.progress import Log


def test_time_of_evaluations_is_no_part_of_the_speed(tmp_path):
    log = Log(tmp_path / "log.jsonl", 0, 10, True)
    began = time.monotonic()
    time.sleep(0.3)
    log.pause(began)
    log.write(1, 0.1, 0.5, 1e-4)
    log.close()
    assert json.loads((tmp_path / "log.jsonl").read_text())["steps_per_second"] > 1 / 0.2
