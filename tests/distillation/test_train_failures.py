import resource
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from distillation.student_files import load_student
from distillation.train import train
from tests.distillation.tiny_runs import command, losses, tiny_config


@pytest.fixture
def config(tmp_path, parquet, teacher_spec):
    return tiny_config(tmp_path, parquet, teacher_spec)


# Damaged images


@pytest.fixture
def photos(tmp_path) -> Path:
    """1,001 images, of which the default limit of 0.1 % is one."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, grey in enumerate(np.random.default_rng(0).integers(0, 256, (1001, 3))):
        Image.new("RGB", (32, 32), tuple(map(int, grey))).save(folder / f"{number:04}.png")
    return folder


def test_one_damaged_image_of_a_thousand_is_listed_and_a_second_stops_the_run(config, photos):
    config = replace(config, images=(str(photos),), epochs=1, batch_size=91)  # 11 batches: every image is seen
    assert config.max_damaged == 0.001
    (photos / "0500.png").write_bytes((photos / "0500.png").read_bytes()[:40])
    load_student(train(config))
    (line,) = (config.output / "damaged-0.txt").read_text().splitlines()
    assert line.startswith(f"500\t{photos / '0500.png'}\t")

    (photos / "0777.png").write_bytes(b"")
    stopped = replace(config, output=config.output / "stopped")
    listed = stopped.output / "damaged-0.txt"
    message = f"images: 2 of 1,001 cannot be read .*more than max_damaged = 0.001 allows; they are listed in {listed}"
    with pytest.raises(ValueError, match=message):
        train(stopped)
    assert {Path(line.split("\t")[1]).name for line in listed.read_text().splitlines()} == {"0500.png", "0777.png"}
    assert not (stopped.output / "encoder").exists()


# Output that cannot be written


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of another process's files is set by prlimit of Linux")
def test_a_disk_that_fills_up_ends_the_run_in_a_line_and_leaves_the_checkpoint_before(config):
    config = replace(config, epochs=20, save_every=2, lr=1e-4)
    checkpoint = config.output / "checkpoint.pt"
    process = command(config)
    deadline = time.monotonic() + 120
    while not checkpoint.exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (10**6, 10**6))  # a checkpoint is larger, a log is not
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    failure = printed.splitlines()[-1]
    assert failure.startswith("xdistill distill: output: step ")
    assert f"could not be saved in {config.output}: " in failure
    assert failure.endswith("make room and repeat the command to resume from it")
    assert "Traceback" not in printed
    assert not list(config.output.glob(".*partial"))

    step = torch.load(checkpoint, weights_only=True)["step"]
    assert 2 <= step < 60
    folder = train(replace(config, save_every=1000))
    assert len(losses(config.output)) == 60
    load_student(folder)


def test_an_output_that_is_a_file_ends_the_run_in_a_line(config):
    config.output.write_text("notes")
    message = f"output: {config.output} cannot be made a folder: .* give another --output"
    with pytest.raises((ValueError, OSError), match=message):
        train(config)
    assert config.output.read_text() == "notes"
