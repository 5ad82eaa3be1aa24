import pytest
import torch

from distillation.training.precision import autocast, resolve_precision


@pytest.mark.parametrize(("precision", "dtype"), [("no", torch.float32), ("bf16", torch.bfloat16)])
def test_a_forward_pass_runs_in_the_precision_that_is_asked_for(precision, dtype):
    assert resolve_precision(precision) == precision
    with autocast(torch.device("cpu"), precision):
        assert torch.nn.Linear(2, 2)(torch.ones(1, 2)).dtype == dtype


def test_auto_is_bf16_where_this_machine_computes_it_natively():
    cpu, gpu = torch.cpu._is_amx_tile_supported(), torch.cuda.is_available()
    native = torch.cuda.is_bf16_supported(including_emulation=False) if gpu else cpu
    assert resolve_precision("auto") == ("bf16" if native else "no")
