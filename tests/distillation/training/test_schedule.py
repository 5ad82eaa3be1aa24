import pytest

from distillation.training.schedule import image_size_at, lr_factor


def test_the_learning_rate_rises_linearly_then_falls_along_a_cosine():
    factors = [lr_factor(step, 110, 10 / 110) for step in range(110)]
    assert factors[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert factors[10] == 1
    assert factors[60] == pytest.approx(0.5)  # half of the way from 10 to 110
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert lr_factor(110, 110, 10 / 110) == pytest.approx(0)


def test_the_image_size_grows_in_steps_of_16_px_to_the_last_third():
    assert [image_size_at(epoch, 9, 64, 96) for epoch in range(9)] == [64, 64, 64, 80, 80, 80, 96, 96, 96]
    assert {image_size_at(epoch, 5, 96, 96) for epoch in range(5)} == {96}


def test_short_runs_end_at_the_last_image_size_too():
    sizes = {epochs: [image_size_at(epoch, epochs, 64, 96) for epoch in range(epochs)] for epochs in (1, 2, 3, 4)}
    assert sizes == {1: [96], 2: [64, 96], 3: [64, 80, 96], 4: [64, 80, 96, 96]}
