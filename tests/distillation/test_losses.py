import math

import pytest
import torch
from torch.nn import functional as F

from distillation.losses import cosine, mse, patch, relational, smooth_l1

STUDENT = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
TEACHER = torch.tensor([[1.0, 4.0], [0.0, 4.0]])


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def queue(dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return F.normalize(noise(9, 6, seed=2, dtype=dtype), dim=1)


def related(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    return relational(student, teacher, queue(student.dtype))


EMBEDDING_LOSSES = [mse, smooth_l1, cosine, related]


def test_mse_is_the_mean_of_the_squared_differences():
    assert mse(STUDENT, TEACHER).item() == pytest.approx((0 + 4 + 9 + 0) / 4)


def test_smooth_l1_is_quadratic_below_beta_and_linear_above():
    assert smooth_l1(STUDENT, TEACHER).item() == pytest.approx((0 + 1.5 + 2.5 + 0) / 4)
    assert smooth_l1(STUDENT, TEACHER, beta=4.0).item() == pytest.approx((0 + 4 / 8 + 9 / 8 + 0) / 4)


def test_cosine_is_one_minus_the_cosine_of_the_angle():
    student = torch.tensor([[2.0, 0.0], [1.0, 0.0], [1.0, 1.0], [1.0, 0.0]])
    teacher = torch.tensor([[1.0, 0.0], [0.0, 3.0], [5.0, 0.0], [-1.0, 0.0]])
    assert cosine(student, teacher).item() == pytest.approx((0 + 1 + (1 - math.sqrt(0.5)) + 2) / 4)
    reference = 1 - F.cosine_similarity(noise(5, 6), noise(5, 6, seed=1)).mean()
    torch.testing.assert_close(cosine(noise(5, 6), noise(5, 6, seed=1)), reference)


def test_relational_is_the_divergence_of_two_shares_on_a_plane():
    """The teacher lies along its queue's only row, the student across: shares (1/2, 1/2) against the same."""
    teacher, along = torch.tensor([[3.0, 0.0]]), torch.tensor([[1.0, 0.0]])
    assert relational(torch.tensor([[0.0, 1.0]]), teacher, along).item() == pytest.approx(0, abs=1e-7)
    across = torch.tensor([[0.0, 1.0]])  # similarities: teacher (1, 0) with itself and the queue, student (0, 1)
    loss = relational(torch.tensor([[0.0, 5.0]]), teacher, across, temperatures=(1.0, 1.0))
    share = math.e / (math.e + 1)
    expected = share * math.log(share / (1 - share)) + (1 - share) * math.log((1 - share) / share)
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_relational_is_seeds_cross_entropy_less_the_teachers_entropy():
    student, teacher, anchors = noise(4, 6, dtype=torch.float64), noise(4, 6, seed=1, dtype=torch.float64), queue()
    loss = relational(student, teacher, anchors, temperatures=(0.2, 0.07))
    expected = 0.0
    for z_student, z_teacher in zip(student, teacher, strict=True):
        z_student, z_teacher = z_student / z_student.norm(), z_teacher / z_teacher.norm()
        keys = [z_teacher, *anchors.double()]  # D+ of the paper
        exponentials_student = [math.exp(z_student.dot(key) / 0.2) for key in keys]
        exponentials_teacher = [math.exp(z_teacher.dot(key) / 0.07) for key in keys]
        for of_student, of_teacher in zip(exponentials_student, exponentials_teacher, strict=True):
            p_student = of_student / sum(exponentials_student)
            p_teacher = of_teacher / sum(exponentials_teacher)
            expected += (-p_teacher * math.log(p_student) + p_teacher * math.log(p_teacher)) / len(student)
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_relational_is_computed_in_float32_under_autocast():
    loss = related(noise(4, 6), noise(4, 6, seed=1))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(related(noise(4, 6), noise(4, 6, seed=1)), loss)


def test_patch_is_nine_parts_cosine_and_one_part_smooth_l1_of_each_place():
    student, teacher = torch.zeros(1, 2, 1, 2), torch.zeros(1, 2, 1, 2)
    student[0, :, 0, 0], teacher[0, :, 0, 0] = torch.tensor([1.0, 0.0]), torch.tensor([3.0, 0.0])
    student[0, :, 0, 1], teacher[0, :, 0, 1] = torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0])
    expected = 0.9 * (0 + 1) / 2 + 0.1 * (1.5 + 0 + 0.5 + 0.5) / 4
    assert patch(student, teacher).item() == pytest.approx(expected)


@pytest.mark.parametrize("finer", ["student", "teacher"])
def test_patch_averages_the_finer_map_over_the_cells_of_the_coarser(finer):
    coarse = noise(2, 5, 3, 4)
    fine = coarse.repeat_interleave(2, dim=2).repeat_interleave(4, dim=3)
    fine = fine + torch.tensor([1.0, -1.0]).repeat(8)  # averages out inside each cell
    maps = (fine, coarse) if finer == "student" else (coarse, fine)
    assert patch(*maps).item() == pytest.approx(0, abs=1e-6)
    assert patch(fine, fine.roll(4, dims=3)) > 0.1


def test_patch_keeps_left_and_top_in_place_where_sizes_do_not_divide():
    """16 x 16 tokens against 7 x 7 cells, of ViT-L/14 and a ResNet at 224 px: a linear ramp stays one."""
    ramp = torch.arange(16.0).add(0.5).div(16).expand(16, 16)
    teacher = torch.stack([ramp, ramp.T, torch.ones(16, 16)])[None]
    cells = torch.arange(7.0).add(0.5).div(7).expand(7, 7)
    student = torch.stack([cells, cells.T, torch.ones(7, 7)])[None]
    assert patch(student, teacher) < 1e-3
    assert patch(student.flip(-1), teacher) > 0.05


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("loss", [*EMBEDDING_LOSSES, patch])
def test_equals_are_at_distance_0_exactly(loss, dtype):
    embeddings = noise(8, 6, 5, 5, dtype=dtype) if loss is patch else noise(8, 6, dtype=dtype)
    assert loss(embeddings, embeddings.clone()).item() == 0


@pytest.mark.parametrize("loss", [*EMBEDDING_LOSSES, patch])
def test_others_are_not_and_the_loss_is_a_float32_scalar(loss):
    shape = (4, 6, 3, 3) if loss is patch else (4, 6)
    distance = loss(noise(*shape, dtype=torch.bfloat16), noise(*shape, seed=1, dtype=torch.bfloat16))
    assert distance > 0.01
    assert (distance.shape, distance.dtype) == ((), torch.float32)


@pytest.mark.parametrize("loss", [*EMBEDDING_LOSSES, patch])
def test_gradients_are_those_of_finite_differences(loss):
    shape = (3, 6, 4, 4) if loss is patch else (3, 6)
    student = noise(*shape, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda given: loss(given, noise(*shape, seed=1, dtype=torch.float64)), student)


@pytest.mark.parametrize("loss", [*EMBEDDING_LOSSES, patch])
def test_nothing_pulls_a_student_that_equals_its_teacher(loss):
    teacher = noise(3, 6, 4, 4) if loss is patch else noise(3, 6)
    student = teacher.clone().requires_grad_()
    loss(student, teacher).backward()
    torch.testing.assert_close(student.grad, torch.zeros_like(teacher), rtol=0, atol=1e-6)


@pytest.mark.parametrize("loss", [*EMBEDDING_LOSSES, patch])
def test_descent_brings_a_student_to_its_teacher(loss):
    shape = (2, 6, 2, 2) if loss is patch else (4, 6)
    student, teacher = noise(*shape).requires_grad_(), noise(*shape, seed=1)
    first = loss(student, teacher).item()
    optimizer = torch.optim.Adam([student], lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        loss(student, teacher).backward()
        optimizer.step()
    assert loss(student, teacher).item() < 0.01 * first


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("loss", [*EMBEDDING_LOSSES, patch])
def test_a_value_that_is_not_finite_shows(loss, value):
    shape = (2, 6, 3, 3) if loss is patch else (2, 6)
    broken = noise(*shape)
    broken.flatten()[3] = value
    assert not loss(broken, noise(*shape, seed=1)).isfinite()


@pytest.mark.parametrize("loss", EMBEDDING_LOSSES)
def test_shapes_that_would_broadcast_are_refused(loss):
    with pytest.raises(ValueError, match=r"differ in shape: \(4, 6\), \(4, 1\)"):
        loss(torch.zeros(4, 6), torch.zeros(4, 1))


@pytest.mark.parametrize("shape", [(2, 3, 4, 4), (1, 5, 4, 4), (2, 5, 4)])
def test_maps_of_other_batch_or_width_are_refused(shape):
    with pytest.raises(ValueError, match=rf"student \(2, 5, 4, 4\), teacher \({', '.join(map(str, shape))}\)"):
        patch(torch.zeros(2, 5, 4, 4), torch.zeros(shape))


def test_a_queue_of_another_width_is_refused():
    with pytest.raises(ValueError, match=r"queue: expected \(Q, 6\), as wide as the teacher, got \(9, 5\)"):
        relational(noise(2, 6), noise(2, 6), torch.zeros(9, 5))


def test_a_temperature_of_0_is_refused():
    with pytest.raises(ValueError, match=r"temperatures: expected two numbers above 0, got \(0.1, 0.0\)"):
        relational(noise(2, 6), noise(2, 6), queue(), temperatures=(0.1, 0.0))
