"""`xdistill export`: the encoder as an ONNX file or a torch.export program, with a report on how exact it is."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import torch
from torch import Tensor

from xdistill_encoder import __version__
from xdistill_encoder.exporting.graph import METHODS, EncoderGraph, traced
from xdistill_encoder.exporting.parity import BOUNDS, Graph, Parity, compare, put_in_place
from xdistill_encoder.exporting.pictures import drawn_pictures, read_pictures
from xdistill_encoder.hosts.needs import require_onnx
from xdistill_encoder.images import check_image_size, check_layout
from xdistill_encoder.model import XDistillResNet18

Precision = Literal["fp32", "fp16", "int8"]
SIZES = ((96, 96), (84, 112), (224, 224))
"""(H, W) at which a graph for any size is compared with PyTorch."""
COMPARED = 32
"""Images of each comparison that come from a folder."""
CALIBRATING = 128


def export_onnx(
    encoder: XDistillResNet18,
    file: str | Path,
    *,
    readout: str = "pooled",
    precision: Precision = "fp32",
    image_size: tuple[int, int] | None = None,
    images: Tensor | None = None,
    opset: int | None = None,
) -> Parity:
    """Write an ONNX file: "images" (B, 3, H, W) uint8 RGB in [0, 255] -> a readout in float32.

    The normalisation is inside, the batch is free. The file appears only if it agrees with PyTorch; beside it lies
    `<file>.json` with what it takes, gives, was made from, and the comparison.

    Args:
        encoder: stays as it is; the graph is in eval mode.
        readout: "pooled", "features", "pyramid" (four outputs), "spatial_softmax", "tokens" or "teacher_embedding".
        precision: "fp32"; "fp16", weights and arithmetic; "int8", convolutions.
        image_size: (H, W) in px; None: any from 33 px up.
        images: (N, 3, H, W) uint8 like those of the robot, on which exactness is measured; "int8" needs 8 or more,
            of every four three set the ranges, and the fourth is compared. None: drawn pictures.
        opset: of ONNX; None: the one that this torch recommends.

    Raises:
        ValueError: unknown readout or precision, images that do not fit, an opset that the graph cannot be had in, or
            a graph that disagrees with PyTorch.
        ImportError: onnx, onnxscript or onnxruntime is missing, or of an untried version.
    """
    require_onnx()
    from xdistill_encoder.exporting import onnx_files

    file = _file(file, ".onnx")
    _check(precision, image_size, images)
    graph = EncoderGraph(encoder, readout, half=precision == "fp16")
    batches = _batches(image_size, images)
    with TemporaryDirectory(dir=file.parent, prefix=f".{file.name}-") as folder:
        made = Path(folder) / file.name
        onnx_files.write_onnx(graph, made, image_size, opset)
        opset = onnx_files.require_opset(made, opset)
        if precision == "int8":
            assert images is not None
            calibration, rest = _split(images)
            quantised = made.with_suffix(".int8")
            onnx_files.quantise(made, quantised, calibration)
            quantised.replace(made)
            batches = [rest]
        facts = {**_facts(encoder, readout, precision, image_size, onnx_files.versions()), "opset": opset}
        onnx_files.describe(made, {key: str(value) for key, value in facts.items()})
        parity = compare(onnx_files.runner(made), _reference(encoder, readout), batches)
        parity.require(precision, BOUNDS[precision])
        put_in_place(made, file, facts, parity)
    return parity


def export_program(
    encoder: XDistillResNet18,
    file: str | Path,
    *,
    readout: str = "pooled",
    precision: Literal["fp32", "fp16"] = "fp32",
    image_size: tuple[int, int] | None = None,
    images: Tensor | None = None,
) -> Parity:
    """Write a torch.export program, which `torch.export.load(file).module()` reads without this package.

    Arguments and errors are those of `export_onnx`; int8 is for ONNX alone.
    """
    file = _file(file, ".pt2")
    if precision == "int8":
        raise ValueError("precision: int8 is exported to ONNX; give an .onnx file, or take fp32 or fp16")
    _check(precision, image_size, images)
    graph = EncoderGraph(encoder, readout, half=precision == "fp16")
    with TemporaryDirectory(dir=file.parent, prefix=f".{file.name}-") as folder:
        made = Path(folder) / file.name
        torch.export.save(traced(graph, image_size), made)
        parity = compare(
            _outputs(torch.export.load(made).module()), _reference(encoder, readout), _batches(image_size, images)
        )
        parity.require(precision, BOUNDS[precision])
        put_in_place(made, file, _facts(encoder, readout, precision, image_size, {}), parity)
    return parity


def _reference(encoder: XDistillResNet18, readout: str) -> Graph:
    return _outputs(EncoderGraph(encoder, readout))


def _outputs(module: torch.nn.Module) -> Graph:
    def run(images: Tensor) -> Sequence[Tensor]:
        with torch.inference_mode():
            outputs = module(images)
        return (outputs,) if isinstance(outputs, Tensor) else outputs

    return run


def _file(file: str | Path, suffix: str) -> Path:
    file = Path(file).expanduser()
    if file.suffix != suffix:
        raise ValueError(
            f"file: expected a name that ends in {suffix}, got {file.name!r} (.onnx: ONNX; .pt2: torch.export)"
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def _check(precision: str, image_size: tuple[int, int] | None, images: Tensor | None) -> None:
    if precision not in BOUNDS:
        raise ValueError(f"precision: expected one of {', '.join(BOUNDS)}, got {precision!r}")
    if image_size is not None:
        check_image_size(image_size)
    if images is None:
        if precision == "int8":
            raise ValueError(
                "images: int8 needs 8 images or more like those of the robot, from which it takes the ranges of its "
                "activations; about a hundred are good"
            )
        return
    check_layout(images)
    if images.ndim != 4 or images.dtype != torch.uint8:
        raise ValueError(f"images: expected (N, 3, H, W) uint8, got {tuple(images.shape)} {images.dtype}")
    if precision == "int8" and len(images) < 8:
        raise ValueError(f"images: int8 needs 8 or more, got {len(images)}")
    if image_size is not None and tuple(images.shape[-2:]) != tuple(image_size):
        raise ValueError(f"images: expected {tuple(image_size)} px, got {tuple(images.shape[-2:])}; resize them first")


def _split(images: Tensor) -> tuple[Tensor, Tensor]:
    """Images that set int8's ranges, and others on which it is compared; both spread over all."""
    compared = torch.zeros(len(images), dtype=torch.bool)
    compared[3::4] = True
    return images[~compared], images[compared]


def _batches(image_size: tuple[int, int] | None, images: Tensor | None) -> list[Tensor]:
    if images is not None:
        return [images[:1], images[-COMPARED:]]
    sizes = (image_size,) if image_size else SIZES
    return [drawn_pictures(count, size) for size in sizes for count in (1, 3)]


def _facts(
    encoder: XDistillResNet18,
    readout: str,
    precision: str,
    image_size: tuple[int, int] | None,
    libraries: dict[str, str],
) -> dict[str, Any]:
    """What the file takes and gives, and what made it."""
    height, width = image_size or ("height", "width")
    checkpoint = encoder.checkpoint
    return {
        "input": f"images (batch, 3, {height}, {width}) uint8, RGB in [0, 255]",
        "outputs": ", ".join(METHODS[readout][1]) + ", float32",
        "readout": readout,
        "precision": precision,
        "norm": encoder.norm,
        "started_from": checkpoint.name if checkpoint else "none",
        "started_from_sha256": checkpoint.weights_sha256 if checkpoint else "none",
        "versions": {"xdistill-encoder": __version__, "torch": torch.__version__, **libraries},
    }


def main() -> None:
    """Read the command line, export, print the comparison."""
    parser = argparse.ArgumentParser(prog="xdistill export", description=__doc__)
    parser.add_argument("output", type=Path, help="encoder.onnx, or encoder.pt2 for torch.export.load")
    parser.add_argument("--encoder", help="a bundled name, folder or Hub id; default: the bundled checkpoint")
    parser.add_argument("--readout", choices=METHODS, default="pooled", help="default pooled, (B, 512)")
    parser.add_argument("--precision", choices=BOUNDS, default="fp32", help="default fp32")
    parser.add_argument("--image-size", type=int, nargs=2, metavar=("H", "W"), help="in px; default: any from 33 px")
    parser.add_argument(
        "--images",
        type=Path,
        metavar="FOLDER",
        help="8 or more frames of the robot, as large as the encoder gets them: int8 needs them; exactness is measured",
    )
    parser.add_argument("--opset", type=int, help="of ONNX; default: the one that this torch recommends")
    arguments = parser.parse_args()
    try:
        size = tuple(arguments.image_size) if arguments.image_size else None
        images = None
        if arguments.images:
            images = read_pictures(arguments.images, CALIBRATING, size)
        encoder = XDistillResNet18.from_pretrained(arguments.encoder)
        options = {"readout": arguments.readout, "precision": arguments.precision}
        if arguments.output.suffix == ".pt2":
            if arguments.opset is not None:
                raise ValueError("opset: a .pt2 file has none; leave --opset out, or name a file .onnx")
            parity = export_program(encoder, arguments.output, image_size=size, images=images, **options)
        else:
            parity = export_onnx(
                encoder, arguments.output, image_size=size, images=images, opset=arguments.opset, **options
            )
    except (ValueError, OSError, ImportError) as error:
        raise SystemExit(f"xdistill export: {error}") from error
    megabytes, bound = arguments.output.stat().st_size / 1e6, BOUNDS[arguments.precision]
    print(
        f"{arguments.output}: {megabytes:.1f} MB, {arguments.readout}, {arguments.precision}\n"
        f"  beside PyTorch's float32: relative error {parity.relative_error:.1e} (accepted {bound:g}), "
        f"cosine {parity.cosine:.6f}, the worst of {parity.images} images\n"
        f"  a batch of one on this CPU: {parity.exported_ms:.1f} ms, PyTorch {parity.torch_ms:.1f} ms"
    )


if __name__ == "__main__":
    main()
