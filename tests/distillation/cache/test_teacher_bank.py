import torch
from torch.nn.functional import adaptive_avg_pool2d

from distillation.cache.teacher_bank import TeacherBank
from distillation.teachers import load_teacher

CPU = torch.device("cpu")


def test_teachers_embed_side_by_side_each_at_its_own_size(teacher, teacher_spec):
    large = load_teacher(teacher_spec, image_size=48)
    bank = TeacherBank([teacher, large, teacher], CPU, "no", patch_grid=1)
    assert [size for size, _ in bank.sizes] == [32, 48]  # the first and the third share one rendering
    rendered = [torch.randint(256, (2, 3, size, size), dtype=torch.uint8) for size, _ in bank.sizes]
    embeddings, patches = bank.embed(rendered)
    expected = torch.cat([teacher(rendered[0]), large(rendered[1]), teacher(rendered[0])], dim=1)
    torch.testing.assert_close(embeddings, expected)
    _, tokens = teacher.embed(rendered[0])
    torch.testing.assert_close(patches, adaptive_avg_pool2d(tokens, 1).flatten(1))


def test_a_lower_precision_is_that_of_the_teacher_not_of_what_it_gives(teacher):
    rendered = torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8)
    exact, _ = TeacherBank([teacher], CPU, "no", None).embed([rendered])
    rounded, patches = TeacherBank([teacher], CPU, "bf16", None).embed([rendered])
    assert patches is None
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded, exact)
    torch.testing.assert_close(rounded, exact, rtol=0.05, atol=0.05)
