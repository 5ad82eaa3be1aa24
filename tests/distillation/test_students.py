import pytest
import torch
from torch import nn
from torch.distributed import destroy_process_group, init_process_group
from torch.nn.parallel import DistributedDataParallel

from distillation.student_files import load_student
from distillation.students import Student
from xdistill_encoder import CheckpointError, XDistillResNet18

TIMM_VIT = "timm/test_vit"  # timm's own for tests, 0.4 million parameters
TIMM_CONVNEXT = "timm/test_convnext"
BACKBONES = ("resnet18", "resnet34", TIMM_VIT, TIMM_CONVNEXT)


@pytest.fixture
def images():
    """(2, 3, 64, 64) uint8 noise."""
    return torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("backbone", BACKBONES)
def test_everything_learns(backbone, images):
    student = Student([5, 3], backbone, patch_width=7)
    embeddings, feature_map = student(images, with_map=True)
    (embeddings.square().mean() + feature_map.square().mean()).backward()
    assert [name for name, p in student.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_map_comes_from_the_forward_pass_of_the_embeddings(backbone, images):
    student = Student([5, 3], backbone, patch_width=7).eval()
    embeddings, feature_map = student(images, with_map=True)
    torch.testing.assert_close(embeddings, student(images))
    side = 4 if backbone == TIMM_VIT else 2
    assert (embeddings.shape, feature_map.shape) == ((2, 8), (2, 7, side, side))


def test_a_map_that_was_not_asked_for_at_construction_is_refused(images):
    with pytest.raises(ValueError, match="with_map: this student has no patch projection; build it with patch_width"):
        Student([8])(images, with_map=True)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_uint8_and_float_images_give_the_same_embedding(backbone, images):
    student = Student([8], backbone).eval()
    torch.testing.assert_close(student(images), student(images.float() / 255), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backbone", ["resnet18", "resnet34"])
def test_group_norm_replaces_every_batch_norm(backbone):
    kinds = {type(m) for m in Student([8], backbone, "group").modules()}
    assert any(issubclass(kind, nn.GroupNorm) for kind in kinds)
    assert not any(issubclass(kind, nn.modules.batchnorm._BatchNorm) for kind in kinds)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_matrices_decay_and_norms_and_biases_and_the_tokens_of_a_vit_do_not(backbone):
    student = Student([8], backbone, patch_width=4)
    for decay in (0.05, 0.0):
        groups = student.param_groups(1e-3, weight_decay=decay)
        grouped = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
        assert sum(len(group["params"]) for group in groups) == len(grouped)
        assert grouped == {
            id(p): 0.0 if p.ndim == 1 or name.endswith(("cls_token", "reg_token", "pos_embed")) else decay
            for name, p in student.named_parameters()
        }
        torch.optim.AdamW(groups)


# ---- standardised targets


@pytest.fixture
def statistics():
    """mean, std of 8 outputs of very different scales."""
    return torch.linspace(-2, 3, 8), torch.logspace(-2, 1, 8)


@pytest.mark.parametrize("backbone", ["resnet18", TIMM_CONVNEXT, TIMM_VIT])
def test_the_exported_head_estimates_the_embeddings_themselves(backbone, images, statistics):
    mean, std = statistics
    student = Student([5, 3], backbone).eval()
    student.standardize(mean, std)
    with torch.no_grad():
        outputs = student(images)
        raw = student.exported().teacher_embedding(images)
    torch.testing.assert_close(raw, outputs * std + mean)
    torch.testing.assert_close(student.standardized(raw), outputs, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(student(images), outputs)  # the student itself is left as it was


@pytest.mark.parametrize("backbone", ["resnet18", TIMM_VIT])
def test_a_batch_norm_before_the_head_learns_and_is_folded_into_it(backbone, images, statistics):
    student = Student([5, 3], backbone, head_norm=True)
    assert student.head_norm is not None
    outputs = student(images)  # in training mode
    features = student.encoder(images)
    expected = (features - features.mean(0)) * (features.var(0, correction=0) + student.head_norm.eps).rsqrt()
    torch.testing.assert_close(outputs, student.head(expected), rtol=1e-3, atol=1e-3)
    outputs.square().mean().backward()
    grouped = {id(p): g["weight_decay"] for g in student.param_groups(1e-3, 0.05) for p in g["params"]}
    assert [name for name, p in student.named_parameters() if p.grad is None or id(p) not in grouped] == []
    assert grouped[id(student.head_norm.weight)] == 0.0

    with torch.no_grad():
        student.head_norm.weight.uniform_(0.5, 2)
        student.head_norm.bias.uniform_(-1, 1)
        student.eval().standardize(*statistics)
        raw = student.exported().teacher_embedding(images)
        torch.testing.assert_close(student.standardized(raw), student(images), rtol=1e-3, atol=1e-3)


def test_a_warm_start_leaves_a_head_behind_a_norm_as_it_was(tmp_path):
    Student([8]).save(tmp_path, "a name", {})
    student = Student([8], head_norm=True)
    head = student.head.weight.clone()
    student.start_from(str(tmp_path))
    assert torch.equal(student.head.weight, head)


def test_standardisation_travels_in_the_state_dict(images, statistics):
    student, resumed = Student([8]), Student([8])
    student.standardize(*statistics)
    resumed.load_state_dict(student.state_dict())
    torch.testing.assert_close(
        resumed.exported().teacher_embedding(images), student.exported().teacher_embedding(images)
    )


@pytest.mark.parametrize("order", ["start_from first", "standardize first", "standardize twice"])
def test_a_head_from_a_checkpoint_goes_on_estimating_the_same_embeddings(order, images, statistics, tmp_path):
    source = XDistillResNet18("group", teacher_features=8).eval()
    source.save_pretrained(tmp_path)
    student = Student([8], norm="group")
    if order == "standardize first":
        student.standardize(*statistics)
    student.start_from(str(tmp_path))
    if order != "standardize first":
        student.standardize(*statistics)
    if order == "standardize twice":
        student.standardize(statistics[0] + 1, statistics[1] * 2)
    torch.testing.assert_close(
        student.exported().teacher_embedding(images), source.teacher_embedding(images), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        (torch.zeros(7), torch.ones(7), r"expected shape \(8,\), got \(7,\), \(7,\)"),
        (torch.zeros(8), torch.zeros(8), "std above 0; bound std from below"),
        (torch.full((8,), torch.nan), torch.ones(8), "expected finite numbers"),
    ],
)
def test_impossible_statistics_are_refused(mean, std, message):
    with pytest.raises(ValueError, match=message):
        Student([8]).standardize(mean, std)


# ---- checkpoints


@pytest.mark.parametrize("backbone", ["resnet18", TIMM_VIT])
def test_a_saved_student_is_the_exported_encoder(backbone, tmp_path, statistics):
    student = Student([5, 3], backbone, patch_width=4)
    student.standardize(*statistics)
    encoder, exported = load_student(student.save(tmp_path / "encoder", "a name", {"teacher": "t"})), student.exported()
    assert encoder.checkpoint is not None
    assert (encoder.checkpoint.name, encoder.checkpoint.provenance) == ("a name", {"teacher": "t"})
    exported_state, saved_state = exported.state_dict(), encoder.state_dict()
    assert saved_state.keys() == exported_state.keys()
    for key, value in exported_state.items():
        assert torch.equal(saved_state[key], value.half().to(value.dtype))  # half precision on the disk


@pytest.mark.parametrize(("backbone", "weight"), [("resnet18", "conv1.weight"), (TIMM_VIT, "pos_embed")])
def test_a_warm_start_takes_the_head_where_the_widths_agree(backbone, weight, tmp_path):
    source = Student([8], backbone)
    source.save(tmp_path, "a name", {})
    same, wider = Student([8], backbone), Student([16], backbone)
    for student in (same, wider):
        student.start_from(str(tmp_path))
        assert torch.equal(
            student.encoder.trunk.get_parameter(weight), source.encoder.trunk.get_parameter(weight).half().float()
        )
        assert student.origin["started_from"]["name"] == "a name"
    assert torch.equal(same.head.weight, source.head.weight.half().float())


def test_group_norm_starts_from_batch_norm_once_it_is_calibrated_and_says_so(tmp_path, images):
    Student([8]).save(tmp_path, "a name", {})
    student = Student([8], norm="group")
    student.start_from(str(tmp_path))
    assert student.uncalibrated
    before = student(images)
    student.train()
    student.calibrate(images)
    assert (student.uncalibrated, student.training) == (False, True)
    assert not torch.allclose(student(images), before)
    assert student.origin["started_from"]["norm"] == "batch; group norms calibrated on 2 views"


def test_batch_norm_does_not_start_from_group_norm(tmp_path):
    Student([8], norm="group").save(tmp_path, "a name", {})
    with pytest.raises(CheckpointError, match="a swap ruins the weights"):
        Student([8]).start_from(str(tmp_path))


def test_a_warm_start_from_another_backbone_is_refused(tmp_path):
    Student([8], TIMM_VIT).save(tmp_path, "a name", {})
    with pytest.raises(ValueError, match="expected a timm/test_convnext with batch norm, got timm/test_vit with batch"):
        Student([8], TIMM_CONVNEXT).start_from(str(tmp_path))


# ---- training


@pytest.mark.filterwarnings("ignore:Grad strides do not match bucket view strides:UserWarning")  # of torch, on speed
def test_gradients_reach_every_parameter_through_distributed_data_parallel(tmp_path, images):
    """Which sees a student through `forward` alone; a world of one process on gloo."""
    init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        student, plain = (Student([8], TIMM_VIT, patch_width=4) for _ in range(2))
        plain.load_state_dict(student.state_dict())
        wrapped = DistributedDataParallel(student)
        for model in (wrapped, plain):
            for _ in range(2):  # the second pass fails where a parameter took no part in the first
                embeddings, feature_map = model(images, with_map=True)
                (embeddings.sum() + feature_map.sum()).backward()
        for ours, theirs in zip(student.parameters(), plain.parameters(), strict=True):
            torch.testing.assert_close(ours.grad, theirs.grad)
    finally:
        destroy_process_group()


@pytest.mark.parametrize("backbone", [TIMM_CONVNEXT, TIMM_VIT])
def test_a_compiled_student_is_one_graph(backbone, images):
    student = Student([8], backbone, patch_width=4).eval()
    expected = student(images, with_map=True)
    student.compile(backend="eager", fullgraph=True)
    for ours, theirs in zip(student(images, with_map=True), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([8], "resnet101"), "backbone: expected resnet18, .*, got 'resnet101'"),
        (([8], "resnet18", "frozen"), "norm: expected batch or group, got 'frozen'"),
        (([],), r"widths: expected the width of each teacher, 1 or more, got \(\)"),
    ],
)
def test_a_student_that_cannot_be_built_is_refused_with_what_can(arguments, message):
    with pytest.raises(ValueError, match=message):
        Student(*arguments)
