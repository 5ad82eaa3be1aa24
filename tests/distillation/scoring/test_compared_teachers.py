import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

from distillation.cache.facts import describe_teacher
from distillation.scoring.compared_teachers import check_head, load_compared
from distillation.scoring.encoders import Encoder, load_encoder
from distillation.students import Student
from distillation.teachers import load_teacher
from tests.distillation.saved_teachers import save_timm


@pytest.fixture
def encoder(tmp_path: Path, teacher_spec: str) -> Encoder:
    """Distilled from averages of the teacher's patches at 48 px, as its provenance says."""
    recorded = asdict(describe_teacher(load_teacher(teacher_spec, 48, "avg")))
    folder = Student([192]).save(tmp_path / "student", name="student", provenance={"teachers": [recorded]})
    return load_encoder(str(folder))


def test_size_and_embedding_of_the_teacher_are_those_of_the_distillation(encoder, teacher_spec):
    (teacher,) = load_compared(encoder, (teacher_spec,), None, None)
    assert (teacher.image_size, teacher.embedding) == (48, "avg")
    check_head(encoder, [teacher])


def test_a_teacher_that_differs_from_that_of_the_distillation_is_refused_with_what_differs(
    encoder, teacher_spec, tmp_path
):
    other, _ = save_timm(tmp_path, "vit_tiny_patch16_224", img_size=32, depth=2, num_classes=0)
    with pytest.raises(ValueError, match=r"student was distilled from vit_random, .* is another \(fingerprint was"):
        check_head(encoder, load_compared(encoder, (other,), None, None))
    with pytest.raises(ValueError, match=r"image_size was 48, is 32; embedding was avg, is cls\)"):
        check_head(encoder, load_compared(encoder, (teacher_spec,), 32, "cls"))
    bare = shutil.copytree(teacher_spec.removeprefix("local-dir:"), tmp_path / "bare")
    config = json.loads((bare / "config.json").read_text())
    del config["pretrained_cfg"]["mean"], config["pretrained_cfg"]["std"]  # the same weights, fed otherwise
    (bare / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"another \(mean was \[0.5, 0.4, 0.3\], is \[0.485, .*std was "):
        check_head(encoder, load_compared(encoder, (f"local-dir:{bare}",), None, None))
    with pytest.raises(ValueError, match=r"distilled from vit_random, got .*vit_random, .*vit_random; give all"):
        load_compared(encoder, (teacher_spec, teacher_spec), None, None)


def test_without_records_the_widths_alone_are_compared(tmp_path, teacher_spec):
    encoder = load_encoder(str(Student([192]).save(tmp_path / "student", name="student", provenance={})))
    (teacher,) = load_compared(encoder, (teacher_spec,), None, None)
    assert (teacher.image_size, teacher.embedding) == (32, "cls")
    check_head(encoder, [teacher])
    assert encoder.teacher_head is not None
    with pytest.raises(ValueError, match=r"the head of student is 192 wide, .* are 192 \+ 192; give the"):
        check_head(encoder, [teacher, teacher])
