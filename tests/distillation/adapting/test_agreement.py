import pytest
import torch

from distillation.adapting.agreement import measure
from distillation.datasets import open_images
from distillation.scoring.encoders import CentreView
from distillation.scoring.metrics import explained_variance
from distillation.sources.decoding import DamagedImage
from distillation.sources.part import PartOfImages
from distillation.teachers import load_teacher
from xdistill_encoder import XDistillResNet18

CPU = torch.device("cpu")


@pytest.fixture
def students() -> dict[str, XDistillResNet18]:
    torch.manual_seed(0)
    return {name: XDistillResNet18("batch", teacher_features=192).eval() for name in ("old", "new")}


def test_the_agreement_is_that_of_all_images_embedded_by_hand(students, parquet, teacher_spec):
    teacher, images = load_teacher(teacher_spec), open_images([parquet])
    found, _ = measure(students, [teacher], images, 32, CPU, 0)
    pictures = [images.read(index) for index in range(len(images))]
    student_views = torch.stack([CentreView(32)(picture) for picture in pictures])
    teacher_views = torch.stack([CentreView(32, teacher.interpolation)(picture) for picture in pictures])
    assert list(found) == ["old", "new"]
    for name, student in students.items():
        with torch.inference_mode():
            expected = explained_variance(student.teacher_embedding(student_views), teacher(teacher_views))
        assert found[name]["teacher_explained_variance"] == pytest.approx(expected, abs=1e-3)
    assert found["old"] != found["new"]


def test_a_student_that_is_no_better_than_the_mean_explains_nothing(students, parquet, teacher_spec):
    teacher, images = load_teacher(teacher_spec), open_images([parquet])
    constant = students["old"]
    assert constant.teacher_head is not None
    embeddings = torch.stack(
        [teacher(CentreView(32, teacher.interpolation)(images.read(index))[None])[0] for index in range(len(images))]
    )
    torch.nn.init.zeros_(constant.teacher_head.weight)
    with torch.no_grad():
        constant.teacher_head.bias.copy_(embeddings.mean(dim=0))
    found, _ = measure({"constant": constant}, [teacher], images, 32, CPU, 0)
    assert found["constant"]["teacher_explained_variance"] == pytest.approx(0.0, abs=1e-3)


class Some:
    """Images of which some cannot be read."""

    def __init__(self, images, damaged):
        self.images, self.damaged = images, damaged

    def __len__(self):
        return len(self.images)

    def read(self, index):
        if index in self.damaged:
            raise DamagedImage("it was cut off")
        return self.images.read(index)

    def where(self, index):
        return f"image {index}"


def test_images_that_cannot_be_read_are_left_out_for_all_students(students, parquet, teacher_spec, capsys):
    teacher, images = load_teacher(teacher_spec), open_images([parquet])
    found = measure(students, [teacher], Some(images, {3, 23}), 32, CPU, 0)
    assert "2 of 24 images that were held out cannot be read, and are left out" in capsys.readouterr().out
    whole = PartOfImages(images, [index for index in range(24) if index not in (3, 23)])
    assert found == measure(students, [teacher], whole, 32, CPU, 0)
    assert found[1] == 22
    with pytest.raises(ValueError, match="images: 1 of 24 that were held out can be read; two must be"):
        measure(students, [teacher], Some(images, set(range(23))), 32, CPU, 0)
