import math

import pytest
import torch

from distillation.losses import cosine, mse, patch, relational
from distillation.training.objective import Objective, parse_losses


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_specs_are_names_with_or_without_a_weight():
    assert parse_losses(("mse",)) == {"mse": 1.0}
    assert parse_losses(("mse:1", "cosine:0.5", "patch:2e-1")) == {"mse": 1.0, "cosine": 0.5, "patch": 0.2}


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ((), "at least one of mse, cosine, smooth_l1, relational, patch, got none"),
        (("l2",), "names among mse, cosine, smooth_l1, relational, patch, got 'l2'"),
        ((":2",), "names among mse, cosine, smooth_l1, relational, patch, got ''"),
        (("mse:",), "expected <name> or <name>:<weight>, such as cosine:0.5, got 'mse:'"),
        (("mse:1:2",), "expected <name> or <name>:<weight>, such as cosine:0.5, got 'mse:1:2'"),
        (("mse:half",), "expected <name> or <name>:<weight>, such as cosine:0.5, got 'mse:half'"),
        (("mse:0",), "expected a weight above 0 for mse, got 0.0"),
        (("mse:-1",), "expected a weight above 0 for mse, got -1.0"),
        (("mse:nan",), "expected a weight above 0 for mse, got nan"),
        (("mse:inf",), "expected a weight above 0 for mse, got inf"),
        (("mse", "mse:2"), "mse is given twice"),
    ],
)
def test_a_spec_that_says_nothing_clear_is_refused(specs, message):
    with pytest.raises(ValueError, match=f"loss: .*{message}"):
        parse_losses(specs)


def test_an_objective_of_an_unknown_loss_is_refused():
    with pytest.raises(ValueError, match="names among mse, .*, got 'l2'"):
        Objective({"l2": 1.0}, [4], 8)


@pytest.mark.parametrize("widths", [(), (4, 0)])
def test_an_objective_without_a_teacher_is_refused(widths):
    with pytest.raises(ValueError, match="one width of at least 1 for each teacher"):
        Objective({"mse": 1.0}, widths, 8)


def test_one_loss_of_weight_1_is_that_loss():
    student, teacher = noise(3, 4), noise(3, 4, seed=1)
    assert torch.equal(Objective({"mse": 1.0}, [4], 8)(student, teacher), mse(student, teacher))


def test_losses_are_weighted_and_added_and_teachers_averaged():
    student, teacher = noise(3, 10), noise(3, 10, seed=1)
    objective = Objective({"mse": 2.0, "cosine": 0.5}, [4, 6], 8)
    blocks = [(student[:, :4], teacher[:, :4]), (student[:, 4:], teacher[:, 4:])]
    expected = sum(2 * mse(*block) + 0.5 * cosine(*block) for block in blocks) / 2
    torch.testing.assert_close(objective(student, teacher), expected)


def test_the_patch_loss_counts_once_beside_several_teachers():
    student, teacher, maps = noise(3, 10), noise(3, 10, seed=1), (noise(3, 5, 2, 2), noise(3, 5, 4, 4, seed=1))
    both = Objective({"mse": 1.0, "patch": 0.5}, [4, 6], 8)(student, teacher, *maps)
    without = Objective({"mse": 1.0}, [4, 6], 8)(student, teacher)
    torch.testing.assert_close(both, without + 0.5 * patch(*maps))


def test_each_teacher_is_related_to_its_own_queue():
    objective = Objective({"relational": 3.0}, [4, 6], 5)
    queued = noise(5, 10, seed=2)
    objective.update(queued)
    student, teacher = noise(3, 10), noise(3, 10, seed=1)
    first = relational(student[:, :4], teacher[:, :4], torch.nn.functional.normalize(queued[:, :4]))
    second = relational(student[:, 4:], teacher[:, 4:], torch.nn.functional.normalize(queued[:, 4:]))
    torch.testing.assert_close(objective(student, teacher), 3 * (first + second) / 2)


def test_the_objective_is_0_for_equals_whatever_the_queue_holds():
    objective = Objective({"mse": 1.0, "cosine": 1.0, "smooth_l1": 1.0, "relational": 1.0, "patch": 1.0}, [4, 6], 5)
    embeddings, maps = noise(3, 10), noise(3, 5, 2, 2)
    for step in range(3):
        assert objective(embeddings, embeddings.clone(), maps, maps.clone()).item() == 0
        objective.update(noise(3, 10, seed=step))


def test_gradients_flow_to_the_student_only():
    objective = Objective({"mse": 1.0, "relational": 1.0, "patch": 1.0}, [4], 5)
    objective.update(noise(5, 4, seed=2))
    embeddings = [noise(3, 4, seed=seed).requires_grad_() for seed in (0, 1)]
    maps = [noise(3, 5, 2, 2, seed=seed).requires_grad_() for seed in (0, 1)]
    objective(*embeddings, *maps).backward()
    for student, teacher in (embeddings, maps):
        assert student.grad is not None
        assert student.grad.abs().max() > 0
        assert teacher.grad is None


def test_a_value_that_is_not_finite_shows():
    student = noise(3, 4)
    student[1, 2] = math.nan
    assert Objective({"mse": 1.0}, [4], 5)(student, noise(3, 4, seed=1)).isnan()


def test_it_says_whether_it_needs_maps_and_queue():
    assert not Objective({"mse": 1.0}, [4], 5).needs_map
    assert Objective({"mse": 1.0, "patch": 1.0}, [4], 5).needs_map
    assert not Objective({"mse": 1.0}, [4], 5).needs_queue
    assert Objective({"relational": 1.0}, [4], 5).needs_queue


@pytest.mark.parametrize(
    ("maps", "absent"), [((None, None), "student_map"), ((noise(3, 5, 2, 2), None), "teacher_map")]
)
def test_a_patch_loss_without_maps_is_refused(maps, absent):
    with pytest.raises(ValueError, match=f"patch compares feature maps, but {absent} is None"):
        Objective({"mse": 1.0, "patch": 1.0}, [4], 5)(noise(3, 4), noise(3, 4, seed=1), *maps)


@pytest.mark.parametrize("which", ["student", "teacher"])
def test_embeddings_of_another_width_are_refused(which):
    wide, narrow = noise(3, 10), noise(3, 9)
    with pytest.raises(ValueError, match=rf"{which}: expected embeddings \(B, 4 \+ 6\), got \(3, 9\)"):
        Objective({"mse": 1.0}, [4, 6], 5)(*((narrow, wide) if which == "student" else (wide, narrow)))


def test_a_queue_is_kept_for_the_relational_loss_alone():
    objective = Objective({"mse": 1.0}, [4], 5)
    objective.update(noise(3, 4))
    assert objective.state_dict() == {}


def test_a_restored_objective_goes_on_as_the_saved_one():
    objective, restored = (Objective({"relational": 1.0}, [4, 6], 7) for _ in range(2))
    for step in range(4):
        objective.update(noise(3, 10, seed=step))
    restored.load_state_dict(objective.state_dict())
    for each in (objective, restored):
        each.update(noise(3, 10, seed=9))
    assert torch.equal(objective(noise(3, 10), noise(3, 10, seed=1)), restored(noise(3, 10), noise(3, 10, seed=1)))


def test_a_line_learns_a_teacher_that_is_a_line():
    """y = 3 x - 1 from mse alone: weight and bias are its least squares, where the loss is 0."""
    x = torch.linspace(-1, 1, 16)[:, None]
    line, objective = torch.nn.Linear(1, 1), Objective({"mse": 1.0}, [1], 1)
    optimizer = torch.optim.SGD(line.parameters(), lr=0.3)
    for _ in range(200):
        optimizer.zero_grad()
        objective(line(x), 3 * x - 1).backward()
        optimizer.step()
    assert line.weight.item() == pytest.approx(3, abs=1e-4)
    assert line.bias.item() == pytest.approx(-1, abs=1e-4)
