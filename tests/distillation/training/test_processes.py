import pytest

from distillation.training.processes import Process, this_process


def test_the_launchers_variables_say_which_process_this_is():
    torchrun = {"RANK": "9", "WORLD_SIZE": "16", "LOCAL_RANK": "1"}
    slurm = {"SLURM_STEP_ID": "0", "SLURM_PROCID": "5", "SLURM_STEP_NUM_TASKS": "6", "SLURM_LOCALID": "2"}
    assert this_process(torchrun | slurm) == Process(9, 16, 1)
    assert this_process(slurm) == Process(5, 6, 2)
    interactive = {"SLURM_STEP_ID": "4294967290", "SLURM_PROCID": "0", "SLURM_NTASKS": "8", "SLURM_STEP_NUM_TASKS": "1"}
    assert this_process(interactive) == Process(0, 1, 0)  # the shell of `salloc -n 8`
    assert this_process({}) == Process(0, 1, 0)
    by_hand = {"RANK": "3", "WORLD_SIZE": "8"}  # each finds a GPU of its own
    assert this_process(by_hand) == Process(3, 8, 3)
    with pytest.raises(ValueError, match="RANK=16, WORLD_SIZE=16, LOCAL_RANK=1"):
        this_process(torchrun | {"RANK": "16"})
    with pytest.raises(ValueError, match="RANK=one"):
        this_process(torchrun | {"RANK": "one"})
