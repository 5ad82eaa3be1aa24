import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument
from torchvision.transforms.v2.functional import to_pil_image

from xdistill_encoder import XDistillResNet18, export
from xdistill_encoder.export import export_onnx, export_program
from xdistill_encoder.exporting import parity
from xdistill_encoder.exporting.graph import METHODS
from xdistill_encoder.exporting.pictures import drawn_pictures, read_pictures

ANY_SIZES = [(1, 3, 33, 33), (5, 3, 64, 77), (2, 3, 130, 96)]


@pytest.fixture(scope="module")
def encoder() -> XDistillResNet18:
    return XDistillResNet18.from_pretrained(norm="frozen")


@pytest.fixture(scope="module")
def pooled(tmp_path_factory, encoder) -> Path:
    """The default: pooled features in float32, of any size."""
    file = tmp_path_factory.mktemp("pooled") / "encoder.onnx"
    export_onnx(encoder, file)
    return file


@pytest.fixture(scope="module")
def fixed(tmp_path_factory, encoder) -> tuple[Path, parity.Parity]:
    """The same for images of 64 x 96 px, with what the comparison found."""
    file = tmp_path_factory.mktemp("fixed") / "encoder.onnx"
    return file, export_onnx(encoder, file, image_size=(64, 96))


def run(file: Path, images: torch.Tensor) -> list[torch.Tensor]:
    """The file by ONNX Runtime, which knows nothing of the package."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return [torch.from_numpy(output) for output in session.run(None, {"images": images.numpy()})]


def uint8(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(sum(shape)))


# ---- ONNX


@pytest.mark.parametrize("readout", METHODS)
def test_a_file_gives_the_encoders_readout_at_any_batch_and_size(tmp_path, encoder, pooled, readout):
    """`features` and the teacher's embedding at one size: what they do to sizes, `tokens` and `pooled` do too."""
    size = (64, 77) if readout in ("features", "teacher_embedding") else None
    if readout != "pooled":
        export_onnx(encoder, tmp_path / "encoder.onnx", readout=readout, image_size=size)
    file = pooled if readout == "pooled" else tmp_path / "encoder.onnx"
    for shape in ANY_SIZES if size is None else [(rows, 3, *size) for rows in (1, 5)]:
        images = uint8(*shape)
        with torch.inference_mode():
            expected = getattr(encoder, METHODS[readout][0])(images)
        expected = (expected,) if isinstance(expected, torch.Tensor) else expected
        found = run(file, images)
        assert len(found) == len(expected) == len(METHODS[readout][1])
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_group_norm_is_exported_too(tmp_path, random_encoder):
    encoder = random_encoder("group")
    export_onnx(encoder, tmp_path / "encoder.onnx", image_size=(64, 80))
    with torch.inference_mode():
        expected = encoder(uint8(3, 3, 64, 80))
    torch.testing.assert_close(run(tmp_path / "encoder.onnx", uint8(3, 3, 64, 80))[0], expected, rtol=1e-4, atol=1e-4)


def test_float16_halves_the_file_and_stays_within_a_hundredth(tmp_path, encoder, pooled):
    report = export_onnx(encoder, tmp_path / "half.onnx", precision="fp16", image_size=(96, 96))
    assert report.relative_error < 1e-2
    assert (tmp_path / "half.onnx").stat().st_size < 0.51 * pooled.stat().st_size
    (features,) = run(tmp_path / "half.onnx", uint8(2, 3, 96, 96))
    assert features.dtype == torch.float32


def test_int8_quarters_the_file_and_is_compared_on_images_that_did_not_set_its_ranges(tmp_path, encoder):
    images = drawn_pictures(32, (96, 96))
    report = export_onnx(encoder, tmp_path / "encoder.onnx", precision="int8", images=images)
    assert report.images == 32 // 4
    assert 1e-3 < report.relative_error < parity.BOUNDS["int8"]
    assert (tmp_path / "encoder.onnx").stat().st_size < 12e6  # 11.2 M weights of a byte
    model = onnx.load(tmp_path / "encoder.onnx")
    dtypes = {tensor.data_type for tensor in model.graph.initializer if np.prod(tensor.dims) > 512}
    assert dtypes == {onnx.TensorProto.INT8}
    assert run(tmp_path / "encoder.onnx", uint8(3, 3, 64, 77))[0].shape == (3, 512)


def test_a_fixed_size_refuses_others_and_leaves_the_batch_free(fixed):
    file, _ = fixed
    assert run(file, uint8(3, 3, 64, 96))[0].shape == (3, 512)
    with pytest.raises(InvalidArgument, match="invalid dimensions"):
        run(file, uint8(3, 3, 96, 96))


def test_floats_are_refused_by_the_file(pooled):
    with pytest.raises(InvalidArgument, match="uint8"):
        run(pooled, torch.rand(1, 3, 64, 64))


def test_an_opset_for_a_file_that_has_none_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["xdistill export", str(tmp_path / "encoder.pt2"), "--opset", "18"])
    with pytest.raises(SystemExit, match="opset: a .pt2 file has none; leave --opset out, or name a file .onnx"):
        export.main()


def opset_of(file: Path) -> int:
    (version,) = [entry.version for entry in onnx.load(file).opset_import if entry.domain == ""]
    return version


def test_the_opset_is_the_one_that_was_asked_for(tmp_path, encoder, pooled):
    export_onnx(encoder, tmp_path / "encoder.onnx", opset=18, image_size=(64, 64))
    assert opset_of(tmp_path / "encoder.onnx") == 18
    assert json.loads((tmp_path / "encoder.onnx.json").read_text())["opset"] == 18
    assert opset_of(pooled) > 18


def test_an_opset_that_the_graph_cannot_be_had_in_is_refused(tmp_path, encoder):
    """torch writes its own instead, and only logs it."""
    with pytest.raises(ValueError, match="opset: this graph cannot be had in opset 7, which ONNX's converter does not"):
        export_onnx(encoder, tmp_path / "encoder.onnx", opset=7, image_size=(64, 64))
    assert list(tmp_path.iterdir()) == []


def test_normalisation_is_inside_even_where_the_host_of_the_encoder_normalises(tmp_path, encoder):
    hosted = XDistillResNet18.from_pretrained(norm="frozen", inputs_normalized=True)
    export_onnx(hosted, tmp_path / "encoder.onnx", image_size=(64, 64))
    with torch.inference_mode():
        expected = encoder(uint8(2, 3, 64, 64))
    torch.testing.assert_close(run(tmp_path / "encoder.onnx", uint8(2, 3, 64, 64))[0], expected, rtol=1e-4, atol=1e-4)


def test_the_encoder_stays_as_it_was(tmp_path, random_encoder):
    encoder = random_encoder("batch").train()
    encoder.freeze("stem")
    before = {key: tensor.clone() for key, tensor in encoder.state_dict().items()}
    export_onnx(encoder, tmp_path / "encoder.onnx", precision="fp16", image_size=(64, 64))
    assert encoder.training
    assert encoder.teacher_head is not None
    assert encoder.frozen_stages == ("stem", "teacher_head")
    assert encoder.trunk.layer1[0].conv1.weight.requires_grad
    for key, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, before[key])


def test_a_file_and_its_report_say_what_they_take_and_what_made_them(fixed, encoder):
    file, compared = fixed
    report = json.loads(file.with_name("encoder.onnx.json").read_text())
    assert report["input"] == "images (batch, 3, 64, 96) uint8, RGB in [0, 255]"
    assert report["started_from"] == encoder.checkpoint.name
    assert report["parity"]["relative_error"] == compared.relative_error
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    assert metadata["started_from_sha256"] == encoder.checkpoint.weights_sha256
    assert metadata["readout"] == "pooled"


def test_a_graph_that_disagrees_is_not_written_and_what_lay_there_stays(tmp_path, encoder, monkeypatch):
    monkeypatch.setitem(parity.BOUNDS, "fp32", 0.0)  # not even rounding is accepted
    (tmp_path / "encoder.onnx").write_text("an earlier one")
    with pytest.raises(ValueError, match=r"of the outputs' norm away from PyTorch, more than the 0 accepted for fp32"):
        export_onnx(encoder, tmp_path / "encoder.onnx", image_size=(64, 64))
    assert [file.name for file in tmp_path.iterdir()] == ["encoder.onnx"]
    assert (tmp_path / "encoder.onnx").read_text() == "an earlier one"


def test_a_graph_is_as_good_as_its_worst_image():
    theirs = torch.tensor([[3.0, 4.0], [0.0, 2.0]])
    ours = torch.tensor([[3.0, 4.0], [2.0, 0.0]])  # the second is turned by a right angle
    found = parity.parity_of([(ours, theirs)], images=2, exported_ms=1.0, torch_ms=2.0)
    assert (found.relative_error, found.cosine) == pytest.approx((2**0.5, 0.0))
    assert (found.images, found.exported_ms, found.torch_ms) == (2, 1.0, 2.0)


def test_a_users_policy_of_float_images_is_exported_with_the_encoder_inside(tmp_path, encoder):
    policy = torch.nn.Sequential(encoder, torch.nn.Linear(512, 7)).eval()
    images = uint8(2, 3, 64, 64).float() / 255
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's exporter about itself
        program = torch.onnx.export(policy, (images,), dynamo=True, verbose=False)
    assert program is not None
    program.save(str(tmp_path / "policy.onnx"))
    session = onnxruntime.InferenceSession(str(tmp_path / "policy.onnx"), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    with torch.inference_mode():
        torch.testing.assert_close(torch.from_numpy(found), policy(images), rtol=1e-4, atol=1e-5)


# ---- torch.export


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_program_runs_in_a_process_without_the_package(tmp_path, encoder, precision):
    size = {"fp32": None, "fp16": (64, 77)}[precision]
    export_program(encoder, tmp_path / "encoder.pt2", precision=precision, image_size=size)
    images = uint8(3, 3, 64, 77)
    np.save(tmp_path / "images.npy", images.numpy())
    script = (
        "import sys, numpy, torch; module = torch.export.load('encoder.pt2').module();"
        "images = torch.from_numpy(numpy.load('images.npy')); numpy.save('features.npy', module(images).numpy());"
        "assert 'xdistill_encoder' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], cwd=tmp_path, check=True)
    with torch.inference_mode():
        expected = encoder(images)
    bound = {"fp32": 1e-4, "fp16": 3e-2}[precision]
    torch.testing.assert_close(torch.from_numpy(np.load(tmp_path / "features.npy")), expected, rtol=bound, atol=bound)


@pytest.mark.parametrize("readout", sorted(METHODS))
def test_a_program_moves_to_another_device(tmp_path, encoder, readout):
    """To the meta device, which refuses tensors of any other as a GPU does."""
    export_program(encoder, tmp_path / "encoder.pt2", readout=readout, image_size=(64, 64))
    module = torch.export.load(tmp_path / "encoder.pt2").module().to("meta")
    outputs = module(uint8(2, 3, 64, 64).to("meta"))
    assert {output.device.type for output in ([outputs] if isinstance(outputs, torch.Tensor) else outputs)} == {"meta"}


# ---- what is refused


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"readout": "pooling"}, "readout: expected one of pooled, features, .*got 'pooling'"),
        ({"precision": "int4"}, "precision: expected one of fp32, fp16, int8, got 'int4'"),
        ({"precision": "int8"}, "int8 needs 8 images or more"),
        ({"precision": "int8", "images": uint8(7, 3, 64, 64)}, "int8 needs 8 or more, got 7"),
        ({"images": torch.rand(9, 3, 64, 64)}, r"expected \(N, 3, H, W\) uint8, got \(9, 3, 64, 64\) torch.float32"),
        ({"images": uint8(9, 3, 64, 64), "image_size": (64, 96)}, r"expected \(64, 96\) px, got \(64, 64\)"),
        ({"image_size": (16, 96)}, "image_size: height and width must be at least 32 px"),
    ],
)
def test_what_cannot_be_exported_is_told(tmp_path, encoder, changes, told):
    with pytest.raises(ValueError, match=told):
        export_onnx(encoder, tmp_path / "encoder.onnx", **changes)
    assert list(tmp_path.iterdir()) == []


def test_a_readout_without_its_head_a_foreign_suffix_and_an_int8_program_are_told(tmp_path, encoder):
    with pytest.raises(ValueError, match="no teacher head"):
        export_onnx(XDistillResNet18("batch"), tmp_path / "encoder.onnx", readout="teacher_embedding")
    with pytest.raises(ValueError, match=r"expected a name that ends in .onnx, got 'encoder.pb'"):
        export_onnx(encoder, tmp_path / "encoder.pb")
    with pytest.raises(ValueError, match=r"int8 is exported to ONNX"):
        export_program(encoder, tmp_path / "encoder.pt2", precision="int8")  # type: ignore[arg-type]


# ---- the command


@pytest.fixture
def command(monkeypatch, capsys):
    """What `xdistill export` prints for arguments."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["xdistill export", *map(str, arguments)])
        export.main()
        return capsys.readouterr().out

    return call


def test_the_command_writes_a_file_calibrated_on_a_folder_and_says_how_exact_it_is(tmp_path, command):
    pictures = drawn_pictures(12, (80, 100))
    for number, picture in enumerate(pictures):
        to_pil_image(picture).save(tmp_path / f"{number:02}.png")
    assert torch.equal(read_pictures(tmp_path, 4, None), pictures[::3])  # from all over, as the robot sees them
    output = tmp_path / "made" / "encoder.onnx"
    told = command(output, "--precision", "int8", "--images", tmp_path, "--image-size", 64, 64)
    assert "int8" in told
    assert "the worst of 3 images" in told
    assert run(output, uint8(1, 3, 64, 64))[0].shape == (1, 512)


def test_the_command_tells_a_folder_without_images_and_an_image_that_cannot_be_read(tmp_path, command):
    with pytest.raises(SystemExit, match="xdistill export: images: no .png, .*in "):
        command(tmp_path / "encoder.onnx", "--images", tmp_path)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n")
    with pytest.raises(SystemExit, match=r"images: .*broken.png cannot be read"):
        command(tmp_path / "encoder.onnx", "--images", tmp_path)
    with pytest.raises(SystemExit, match=r"images: no folder"):
        command(tmp_path / "encoder.onnx", "--images", tmp_path / "nowhere")
