import torch

from distillation.students import Student
from xdistill_encoder import XDistillResNet18


def test_trunk_and_teacher_head_learn():
    student = Student("batch", 8)
    student(torch.rand(2, 3, 32, 32)).square().mean().backward()
    assert all(p.grad is not None for p in student.parameters())


def test_a_warm_start_takes_the_head_where_the_widths_agree(tmp_path):
    source = XDistillResNet18("group", teacher_features=8)
    source.save_pretrained(tmp_path)
    same, wider = Student("group", 8), Student("group", 16)
    for student in (same, wider):
        student.start_from(str(tmp_path))
        assert torch.equal(student.encoder.trunk.conv1.weight, source.trunk.conv1.weight)
    assert torch.equal(same.encoder.get_parameter("teacher_head.weight"), source.get_parameter("teacher_head.weight"))
