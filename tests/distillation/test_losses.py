import pytest
import torch

from distillation.losses import mse


def test_the_loss_is_the_mean_of_the_squared_differences_and_0_for_equals():
    student, teacher = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[1.0, 4.0], [0.0, 4.0]])
    assert mse(student, teacher).item() == pytest.approx((0 + 4 + 9 + 0) / 4)
    assert mse(teacher, teacher).item() == 0


def test_widths_that_would_broadcast_are_refused():
    with pytest.raises(ValueError, match=r"differ in shape: \(4, 8\), \(4, 1\)"):
        mse(torch.zeros(4, 8), torch.zeros(4, 1))
