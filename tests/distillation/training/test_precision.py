import pytest
import torch

from distillation.training.precision import autocast, resolve_precision


@pytest.mark.parametrize(("precision", "dtype"), [("no", torch.float32), ("bf16", torch.bfloat16)])
def test_a_forward_pass_runs_in_the_precision_that_is_asked_for(precision, dtype):
    assert resolve_precision(precision) == precision
    with autocast(torch.device("cpu"), precision):
        assert torch.nn.Linear(2, 2)(torch.ones(1, 2)).dtype == dtype


def test_auto_is_one_that_can_be_run():
    assert resolve_precision("auto") in ("bf16", "no")
