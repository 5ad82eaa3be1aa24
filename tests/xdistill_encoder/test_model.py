import copy

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from xdistill_encoder import CheckpointError, XDistillResNet18


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return XDistillResNet18("batch", teacher_features=192).eval()


@pytest.fixture
def images():
    return torch.randint(0, 256, (2, 3, 70, 64), dtype=torch.uint8)


def torchvision_trunk() -> nn.Module:
    trunk = resnet18(weights=None)
    trunk.add_module("fc", nn.Identity())
    return trunk


@pytest.mark.parametrize("norm", ["batch", "frozen"])
def test_the_trunk_exchanges_state_dicts_with_torchvisions_resnet18_strictly(norm):
    encoder, other = XDistillResNet18(norm), torchvision_trunk()
    other.load_state_dict(encoder.trunk.state_dict(), strict=True)
    encoder.trunk.load_state_dict(other.state_dict(), strict=True)


def test_features_are_those_of_torchvisions_resnet18_on_the_normalised_image(encoder, images):
    other = torchvision_trunk().eval()
    other.load_state_dict(encoder.trunk.state_dict())
    torch.testing.assert_close(encoder(images), other(encoder.normalizer(images)))


def test_every_readout_has_the_shape_that_output_shape_states(encoder):
    images = torch.rand(2, 3, 3, 75, 97)
    readouts = {
        "pooled": encoder(images),
        "features": encoder.forward_features(images),
        "spatial_softmax": encoder.forward_spatial_softmax(images),
        "tokens": encoder.forward_tokens(images),
        "teacher_embedding": encoder.teacher_embedding(images),
    }
    for name, values in readouts.items():
        assert values.shape == (2, 3, *encoder.output_shape((75, 97), name)), name
    pyramid = tuple(tuple(stage_map.shape[2:]) for stage_map in encoder.forward_pyramid(images))
    assert pyramid == encoder.output_shape((75, 97), "pyramid")


@pytest.mark.parametrize("size", range(32, 68))
def test_output_shape_agrees_with_the_network_for_every_remainder(encoder, size):
    assert encoder.forward_features(torch.rand(1, 3, size, 32)).shape[1:] == encoder.output_shape(
        (size, 32), "features"
    )


def test_output_shape_refuses_unknown_readouts_and_small_images(encoder):
    with pytest.raises(ValueError, match=r"readout: expected one of pooled, features, .*, got 'cls'"):
        encoder.output_shape((64, 64), "cls")
    with pytest.raises(ValueError, match="at least 32 px"):
        encoder.output_shape((31, 64))
    for size in (224, (3, 224, 224)):
        with pytest.raises(ValueError, match=r"image_size: expected \(H, W\) in px, got"):
            encoder.output_shape(size)


def test_the_pyramid_ends_with_the_feature_map_and_its_mean_is_the_pooled_feature(encoder, images):
    features = encoder.forward_features(images)
    assert torch.equal(encoder.forward_pyramid(images)[-1], features)
    torch.testing.assert_close(encoder(images), features.mean(dim=(2, 3)))
    torch.testing.assert_close(encoder(images), encoder.forward_tokens(images).mean(dim=1))


def test_the_teacher_embedding_is_the_linear_layer_on_the_pooled_features(encoder, images):
    head = encoder.teacher_head
    torch.testing.assert_close(encoder.teacher_embedding(images), encoder(images) @ head.weight.T + head.bias)


def test_an_encoder_without_teacher_head_says_so(images):
    encoder = XDistillResNet18("batch")
    with pytest.raises(ValueError, match=r"no teacher head.*from_pretrained\(\)"):
        encoder.teacher_embedding(images)
    with pytest.raises(ValueError, match="no teacher head"):
        encoder.output_shape((64, 64), "teacher_embedding")


def test_unusable_constructor_arguments_are_refused():
    with pytest.raises(ValueError, match="norm: expected one of batch, frozen, group, got 'layer'"):
        XDistillResNet18("layer")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="teacher_features: .* got 0"):
        XDistillResNet18("batch", teacher_features=0)


@pytest.mark.parametrize("norm", ["batch", "frozen", "group"])
@pytest.mark.parametrize("value", [0.5, 3.0])
def test_torch_compile_keeps_the_features_and_the_range_check_in_one_graph(norm, value):
    torch.manual_seed(0)
    encoder = XDistillResNet18(norm).eval()
    compiled = torch.compile(copy.deepcopy(encoder), fullgraph=True, backend="aot_eager")
    images = torch.full((1, 3, 32, 32), value)
    if value <= 1:
        torch.testing.assert_close(compiled(images), encoder(images))
    else:
        with pytest.raises(RuntimeError, match=r"images: expected uint8 in \[0, 255\] or float in \[0, 1\]"):
            compiled(images)


def test_weights_are_not_loaded_into_the_meta_device_where_they_would_be_lost():
    with (
        torch.device("meta"),
        pytest.raises(CheckpointError, match="within torch.device.'meta'., .* there is nothing to"),
    ):
        XDistillResNet18.from_pretrained()


def test_an_encoder_from_the_meta_device_computes_the_same_once_its_state_is_loaded(encoder, images):
    with torch.device("meta"):
        other = XDistillResNet18("batch", teacher_features=encoder.teacher_head.out_features).eval()
    other.to_empty(device="cpu").load_state_dict(encoder.state_dict())
    assert torch.equal(other(images), encoder(images))


def test_a_visit_to_bfloat16_leaves_nothing_behind_that_loading_does_not_repair(encoder, images):
    other = copy.deepcopy(encoder).bfloat16().float()
    other.load_state_dict(encoder.state_dict())
    assert torch.equal(other(images), encoder(images))


@pytest.mark.parametrize("norm", ["batch", "frozen", "group"])
def test_layers_from_the_meta_device_start_as_torch_starts_them(norm):
    with torch.device("meta"):
        encoder = XDistillResNet18(norm)
    encoder.to_empty(device="cpu")
    for module in encoder.modules():
        if any(True for _ in (*module.parameters(recurse=False), *module.buffers(recurse=False))):
            module.reset_parameters()  # type: ignore[operator]
    expected = XDistillResNet18(norm).state_dict()
    for key, tensor in encoder.state_dict().items():
        if tensor.ndim < 2:
            assert torch.equal(tensor, expected[key]), key


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
def test_a_forward_pass_on_cuda_waits_for_nothing_and_can_be_captured_in_a_graph(encoder, images):
    encoder, images = copy.deepcopy(encoder).cuda(), (images / 255).cuda()
    with torch.inference_mode():
        expected = encoder(images)
        torch.cuda.set_sync_debug_mode("error")
        try:
            encoder(images)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            captured = encoder(images)
        graph.replay()
    torch.testing.assert_close(captured, expected)


def test_an_exported_program_keeps_the_features_and_the_range_check(encoder):
    images = torch.rand(2, 3, 64, 64)
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(encoder, (images,), dynamic_shapes=({0: batch},)).module()
    other = torch.rand(5, 3, 64, 64)
    torch.testing.assert_close(program(other), encoder(other))
    with pytest.raises(RuntimeError, match="images: expected uint8"):
        program(other * 255)


def test_an_encoder_in_half_precision_computes_in_half_precision(encoder):
    half = copy.deepcopy(encoder).to(torch.bfloat16)
    images = torch.rand(2, 3, 64, 64)
    features = half(images)
    assert features.dtype == torch.bfloat16
    cosine = torch.nn.functional.cosine_similarity(features.float(), encoder(images))
    assert cosine.min() > 0.999
    assert not torch.equal(features.float(), encoder(images))


@pytest.mark.parametrize("norm", ["frozen", "group"])
def test_features_follow_autocast_and_maps_follow_the_memory_format(norm):
    encoder = XDistillResNet18.from_pretrained(norm=norm).eval()
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    features = encoder(images)
    with torch.autocast("cpu", torch.bfloat16):
        cast = encoder(images)
    assert cast.dtype == torch.bfloat16
    torch.testing.assert_close(cast.float(), features, rtol=0.05, atol=0.05)
    encoder.to(memory_format=torch.channels_last)
    assert encoder.forward_features(images).is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(encoder(images), features, rtol=1e-4, atol=1e-4)


def test_importing_the_product_imports_only_its_four_dependencies():
    import subprocess
    import sys

    program = (
        "import sys, torch, torchvision; before = set(sys.modules);"
        "import xdistill_encoder; xdistill_encoder.XDistillResNet18;"  # the package is lazy
        "print(' '.join({name.partition('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names))"
    )
    added = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert set(added) <= {"xdistill_encoder", "safetensors", "huggingface_hub", "torch", "torchvision"}


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    ("norm", "other", "message"),
    [
        ("frozen", "group", "no batch statistics, which this encoder's batch norm needs: of group norm build it with"),
        ("batch", "group", "no batch statistics, which this encoder's batch norm needs"),
        ("group", "batch", "trained with batch norm, this encoder has group norm, and a swap ruins the weights"),
    ],
)
def test_a_state_of_the_other_kind_of_norm_is_refused_in_a_policy_too(norm, other, message, strict):
    policy, foreign = nn.ModuleDict({"eye": XDistillResNet18(norm)}), nn.ModuleDict({"eye": XDistillResNet18(other)})
    with pytest.raises(RuntimeError, match=message):
        policy.load_state_dict(foreign.state_dict(), strict=strict)


@pytest.mark.parametrize("norm", ["frozen", "group"])
def test_the_trunk_by_itself_refuses_them_too_and_takes_torchvisions_weights(norm):
    """As whoever loads torchvision's files does, which hold a classifier more."""
    trunk, other = (XDistillResNet18(each).trunk for each in (norm, "group" if norm == "frozen" else "batch"))
    with pytest.raises(RuntimeError, match="batch statistics" if norm == "frozen" else "trained with batch norm"):
        trunk.load_state_dict(other.state_dict(), strict=False)
    if norm == "frozen":
        taken = trunk.load_state_dict(resnet18().state_dict(), strict=False)
        assert (taken.missing_keys, taken.unexpected_keys) == ([], ["fc.weight", "fc.bias"])


def test_the_norm_of_a_new_encoder_must_be_named():
    """Else it would take the state of a frozen one in silence, and let its statistics move."""
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'norm'"):
        XDistillResNet18()  # type: ignore[call-arg]


def test_an_encoder_that_lost_its_head_does_not_name_it_among_the_frozen_stages():
    encoder = XDistillResNet18("frozen", teacher_features=8).freeze("stem")
    assert encoder.frozen_stages == ("stem", "teacher_head")
    encoder.teacher_head = None
    assert encoder.frozen_stages == ("stem",)


def test_tracing_by_torch_fx_says_what_it_can_trace(images):
    with pytest.raises(ValueError, match=r"torch\.fx cannot trace these checks; trace encoder\.trunk, on normalised"):
        torch.fx.symbolic_trace(XDistillResNet18("frozen"))


def test_parameters_alone_load_over_a_state_as_the_refusal_says():
    source, encoder = XDistillResNet18("frozen"), XDistillResNet18("frozen")
    parameters = dict(source.named_parameters())
    with pytest.raises(RuntimeError, match="of parameters alone load"):
        encoder.load_state_dict(parameters, strict=False)
    encoder.load_state_dict({**encoder.state_dict(), **parameters})
    name = "trunk.layer4.1.bn2.weight"
    torch.testing.assert_close(encoder.get_parameter(name), source.get_parameter(name))


def test_states_of_batch_and_frozen_norm_and_parts_of_one_are_exchanged():
    frozen, batch = XDistillResNet18("frozen"), XDistillResNet18("batch")
    frozen.load_state_dict(batch.state_dict())
    torch.testing.assert_close(frozen.trunk.conv1.weight, batch.trunk.conv1.weight)
    frozen.load_state_dict({"trunk.conv1.weight": torch.zeros_like(frozen.trunk.conv1.weight)}, strict=False)
    assert not frozen.trunk.conv1.weight.any()


def test_a_layer_that_the_encoder_would_not_run_is_refused():
    encoder = XDistillResNet18("frozen")
    encoder.trunk.fc = nn.Linear(512, 8)
    with pytest.raises(ValueError, match="trunk.fc: expected the identity, got Linear, .* put your layer behind"):
        encoder(torch.rand(1, 3, 32, 32))
    encoder.trunk.add_module("fc", nn.Identity())
    encoder.trunk.add_module("avgpool", nn.Identity())
    with pytest.raises(
        ValueError, match=r"trunk.avgpool: expected the mean, got Identity\(\), .* take forward_features"
    ):
        encoder(torch.rand(1, 3, 32, 32))
    assert encoder.forward_features(torch.rand(1, 3, 32, 32)).shape == (1, 512, 1, 1)
    encoder.trunk.add_module("avgpool", nn.AdaptiveAvgPool2d(2))
    with pytest.raises(ValueError, match="trunk.avgpool: expected the mean, got AdaptiveAvgPool2d"):
        encoder(torch.rand(1, 3, 32, 32))


@pytest.mark.parametrize("size", [(96.5, 96), (96.0, 96)])
def test_a_size_that_is_no_whole_number_of_pixels_is_refused(size):
    with pytest.raises(ValueError, match=r"image_size: expected whole numbers of px, got \(96"):
        XDistillResNet18("frozen").output_shape(size)
