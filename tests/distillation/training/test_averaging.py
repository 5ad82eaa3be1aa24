from math import comb, prod

import pytest
import torch
from diffusers.training_utils import EMAModel
from torch import nn

from distillation.students import Student
from distillation.training.averaging import Average


@pytest.fixture(scope="module")
def student():
    return Student((4,), "timm/test_resnet")


def test_a_student_without_counters_is_averaged():
    student = Student((4,), norm="group")
    average = Average(student, 0.9)
    for _ in range(2):
        average.update(student)
    torch.testing.assert_close(average.student.state_dict(), student.state_dict(), rtol=0, atol=0)


def fill(student, value):
    """Set every weight of a student to one value."""
    for parameter in student.parameters():
        nn.init.constant_(parameter, value)


def test_an_average_forgets_where_it_started(student):
    """What 20 updates leave of it is the product of (1 + n) / (10 + n) over n = 1, ..., 19: ten by binomial(29, 9)."""
    fill(student, 1.0)
    average = Average(student, 0.9999)
    average.update(student)  # the first takes the student as it is
    fill(student, 0.0)
    for _ in range(19):
        average.update(student)
    left = prod((1 + n) / (10 + n) for n in range(1, 20))
    assert left == pytest.approx(10 / comb(29, 9))
    for parameter in average.student.parameters():
        torch.testing.assert_close(parameter, torch.full_like(parameter, left), rtol=1e-4, atol=0)


def test_the_first_update_takes_the_student_as_it_is(student):
    fill(student, 1.0)
    average = Average(student, 0.9)
    fill(student, 3.0)
    average.update(student)
    torch.testing.assert_close(average.student.state_dict(), student.state_dict(), rtol=0, atol=0)


def test_statistics_are_averaged_and_counters_are_those_of_the_student(student):
    average = Average(student, 0.1)
    average.update(student)
    before = {name: buffer.clone() for name, buffer in average.student.named_buffers()}
    for name, buffer in student.named_buffers():
        buffer += 7 if name.endswith("num_batches_tracked") else 1
    average.update(student)
    for name, buffer in average.student.named_buffers():
        if name.endswith("num_batches_tracked"):
            assert buffer == before[name] + 7
        else:
            torch.testing.assert_close(buffer, before[name] + 0.9)


def test_an_average_of_one_value_is_that_value(student):
    average = Average(student, 0.3)
    for _ in range(4):
        average.update(student)
    torch.testing.assert_close(average.student.state_dict(), student.state_dict(), rtol=0, atol=0)


def test_an_average_learns_from_no_gradient_and_leaves_the_student_its_own(student):
    average = Average(student, 0.9)
    assert not any(parameter.requires_grad for parameter in average.student.parameters())
    assert all(parameter.requires_grad for parameter in student.parameters())


def test_an_average_goes_on_from_its_state(student):
    whole, first = Average(student, 0.9), Average(student, 0.9)
    for step in range(6):
        fill(student, float(step))
        whole.update(student)
        if step == 3:
            state = first.state_dict()
            first = Average(student, 0.9)
            first.load_state_dict(state)
        first.update(student)
    torch.testing.assert_close(first.state_dict(), whole.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("decay", [0.9999, 0.3])
def test_the_average_of_a_student_is_that_of_diffusers(student, decay):
    ours, theirs = Average(student, decay), EMAModel(student.parameters(), decay=decay)
    for step in range(6):  # the first takes the weights
        if step:
            for parameter in student.parameters():
                nn.init.normal_(parameter)
        ours.update(student)
        theirs.step(student.parameters())
    torch.testing.assert_close(list(ours.student.parameters()), theirs.shadow_params)
