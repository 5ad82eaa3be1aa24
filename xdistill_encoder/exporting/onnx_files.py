"""ONNX files: written by torch.onnx, quantised and run by ONNX Runtime."""

import contextlib
import io
import logging
from collections.abc import Iterator
from pathlib import Path

import onnx
import onnxruntime
import torch
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor

from xdistill_encoder.exporting.graph import INPUT_NAME, METHODS, EncoderGraph, dynamic_shapes, example
from xdistill_encoder.exporting.parity import Graph


def write_onnx(graph: EncoderGraph, file: Path, image_size: tuple[int, int] | None, opset: int | None) -> None:
    """Write the graph as one file.

    Args:
        image_size: (H, W) in px; None: any.
        opset: of ONNX; None: that of this torch.
    """
    program = torch.onnx.export(
        graph,
        (example(image_size),),
        dynamo=True,
        dynamic_shapes=dynamic_shapes(image_size),
        input_names=[INPUT_NAME],
        output_names=list(METHODS[graph.readout][1]),
        opset_version=opset,
        verbose=False,
    )
    assert program is not None
    program.save(str(file), external_data=False)


def require_opset(file: Path, asked: int | None) -> int:
    """The opset of a file that was just written; where ONNX's converter fails, torch only logs it, and keeps its own.

    Raises:
        ValueError: it is not the one that was asked for.
    """
    model = onnx.load(file, load_external_data=False)
    (found,) = [each.version for each in model.opset_import if each.domain in ("", "ai.onnx")]
    if asked not in (None, found):
        raise ValueError(
            f"opset: this graph cannot be had in opset {asked}, which ONNX's converter does not reach from torch's "
            f"{found}; take {found}"
        )
    return found


class Frames(CalibrationDataReader):
    """Images one by one, as ONNX Runtime's calibration takes them: (N, 3, H, W) uint8."""

    def __init__(self, images: Tensor):
        self.images = images
        self.set_range(0, len(images))

    def __len__(self) -> int:
        return len(self.images)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Go on with these images."""
        self.rest: Iterator[Tensor] = iter(self.images[start_index:end_index].split(1))

    def get_next(self) -> dict | None:
        batch = next(self.rest, None)
        return None if batch is None else {INPUT_NAME: batch.numpy()}


def quantise(file: Path, target: Path, calibration: Tensor) -> None:
    """Convolutions in int8, weights a scale a channel, activations a scale a tensor (QDQ, static).

    The range of an activation leaves out the 0.001 % of its values on the calibration images that are largest: with the
    whole range the error doubles. Weights take 7 of the 8 bits: x86 CPUs without VNNI add pairs of products in 16 bits,
    where 255 * 127 + 255 * 127 is too much, and give features that are a quarter off.

    Args:
        file, target: ONNX files, float32 in, int8 out.
        calibration: (N, 3, H, W) uint8 like those of the robot.
    """
    prepared = target.with_name(target.name + ".prepared")
    quiet = logging.getLogger()
    level = quiet.level
    quiet.setLevel(logging.ERROR)  # advice for other models
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # progress of a second's work
            quant_pre_process(str(file), str(prepared))
            quantize_static(
                str(prepared),
                str(target),
                Frames(calibration),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                reduce_range=True,
                calibrate_method=CalibrationMethod.Percentile,
                op_types_to_quantize=["Conv"],
                extra_options={"CalibStridedMinMax": 1},  # frames at once, in spite of its name for any method: of all
                # of them the activations would lie in memory, 10 GB of a hundred of 480 x 640
            )
    finally:
        quiet.setLevel(level)
        prepared.unlink(missing_ok=True)


def describe(file: Path, facts: dict[str, str]) -> None:
    """Store facts in the file's metadata, where ONNX Runtime's `get_modelmeta()` finds them."""
    model = onnx.load(file)
    onnx.helper.set_model_props(model, facts)
    onnx.checker.check_model(model)
    onnx.save(model, file)


def open_session(file: Path) -> onnxruntime.InferenceSession:
    """The file on the CPU, with as many threads as torch takes."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def runner(file: Path) -> Graph:
    """The file as a function on the CPU."""
    session = open_session(file)

    def run(images: Tensor) -> list[Tensor]:
        return [torch.from_numpy(output) for output in session.run(None, {INPUT_NAME: images.numpy()})]

    return run


def versions() -> dict[str, str]:
    """Of the libraries that wrote the file."""
    return {"onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__}
