import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from distillation.student_files import load_student
from distillation.train import train
from tests.distillation.tiny_runs import command, losses, tiny_config

SCRIPT = Path(__file__).parents[2] / "distillation" / "slurm.sh"


def test_two_nodes_that_meet_at_an_address_give_the_losses_of_one_process(tmp_path, parquet, teacher_spec, free_port):
    config = replace(tiny_config(tmp_path, parquet, teacher_spec), epochs=3, lr=1e-5)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"]
    torchrun += ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{free_port}", "--rdzv-id", "tiny"]
    torchrun += ["--local-addr", "127.0.0.1", "-m", "distillation.train"]
    nodes = [command(config, *torchrun) for _ in range(2)]
    for node in nodes:
        printed, _ = node.communicate(timeout=240)
        assert node.returncode == 0, printed
    train(replace(config, output=config.output / "one"))
    assert losses(config.output) == pytest.approx(losses(config.output / "one"), rel=1e-4)
    assert len(losses(config.output)) == 9
    checkpoint = load_student(config.output / "encoder").checkpoint
    assert checkpoint
    assert checkpoint.provenance["processes"] == 2


def test_the_script_for_slurm_is_bash():
    subprocess.run(["bash", "-n", SCRIPT], check=True)
