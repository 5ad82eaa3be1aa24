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


class Frames(CalibrationDataReader):
    """Images one by one, as ONNX Runtime's calibration takes them: (N, 3, H, W) uint8."""

    def __init__(self, images: Tensor):
        self.rest: Iterator[Tensor] = iter(images.split(1))

    def get_next(self) -> dict | None:
        batch = next(self.rest, None)
        return None if batch is None else {INPUT_NAME: batch.numpy()}


def quantise(file: Path, target: Path, calibration: Tensor) -> None:
    """Convolutions in int8, weights a scale a channel, activations a scale a tensor (QDQ, static).

    The range of an activation leaves out 0.001 % of its values on the calibration images at each end: with the whole
    range the error doubles. Weights take 7 of the 8 bits: x86 CPUs without VNNI add pairs of products in 16 bits, where
    255 * 127 + 255 * 127 is too much, and give features that are a quarter off.

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
