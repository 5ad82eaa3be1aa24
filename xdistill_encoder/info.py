"""`xdistill info`: what the bundled checkpoints are, how fast they run here."""

import argparse
import json
import platform
import statistics
import time

import torch

from xdistill_encoder import __version__
from xdistill_encoder.checkpoints import WEIGHTS_FOLDER, CheckpointError, bundled_checkpoints
from xdistill_encoder.images import MIN_SIZE_PX
from xdistill_encoder.model import XDistillResNet18

WARM_UP = 2
MIN_REPEATS = 3
IN_THE_CARD = ("command", "commit")
"""Of a record, what only the card shows."""
OF_A_SCORECARD = ("queries", "image_size_px", "encoder", "teacher", "weights_sha256")
"""Of a scorecard, what is no score."""


def latency_ms(
    encoder: XDistillResNet18, image_size_px: int, batch: int, device: torch.device, *, budget_ms: float = 500
) -> float:
    """Median time in ms of one forward pass over a uint8 batch: as many passes as the budget holds, three at least."""
    images = torch.randint(0, 256, (batch, 3, image_size_px, image_size_px), dtype=torch.uint8, device=device)
    times: list[float] = []
    with torch.inference_mode():
        while len(times) < WARM_UP + MIN_REPEATS or sum(times) < budget_ms:
            start = time.perf_counter()
            encoder(images)
            if device.type != "cpu":
                torch.accelerator.synchronize(device)
            times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times[WARM_UP:])


def describe(name: str, image_size_px: int, device: torch.device) -> str:
    """One checkpoint in lines: norm, parameters, latency, provenance, scores.

    Raises:
        CheckpointError: see `XDistillResNet18.from_pretrained`.
    """
    encoder = XDistillResNet18.from_pretrained(name).to(device)
    config = encoder.checkpoint
    assert config is not None
    trunk = sum(p.numel() for p in encoder.trunk.parameters())
    head = sum(p.numel() for p in encoder.teacher_head.parameters()) if encoder.teacher_head else 0
    rows = [
        ("norm", config.norm + (" (loaded as frozen)" if config.norm == "batch" else "")),
        ("parameters", f"{trunk:,} in the trunk, {head:,} in the teacher head"),
        ("sha256", f"{config.weights_sha256[:16]}…"),
    ]
    for batch in (1, 32):
        milliseconds = latency_ms(encoder, image_size_px, batch, device)
        rows.append((f"batch {batch}", f"{milliseconds:.1f} ms a forward pass at {image_size_px} px"))
    card = WEIGHTS_FOLDER / name / "README.md"
    if card.is_file():
        rows.append(("card", str(card)))
    for key, value in config.provenance.items():
        if isinstance(value, dict):
            value = {entry: fact for entry, fact in value.items() if entry != "provenance"}  # of an earlier checkpoint
        records = value if isinstance(value, list) and all(isinstance(entry, dict) for entry in value) else [value]
        rows += [(key, _scores(record) if key == "scores" else _text(record)) for record in records]
    title = name if name == config.name else f"{name} ({config.name})"
    return "\n".join([title, *(f"  {key:12} {value}" for key, value in rows)])


def _scores(record: object) -> str:
    """ "val, 128 px: knn10_percent 88.1, ..." of a scorecard; another record as it is."""
    if not isinstance(record, dict) or "queries" not in record:
        return _text(record)
    size = f", {record['image_size_px']} px" if "image_size_px" in record else ""
    known = {name: fact for name, fact in record.items() if fact is not None and name not in IN_THE_CARD}
    scores = ", ".join(f"{name} {fact}" for name, fact in known.items() if name not in OF_A_SCORECARD)
    return f"{record['queries']}{size}: {scores or 'none'}"


def _text(value: object) -> str:
    """A fact on one line; of a record, what is known."""
    if isinstance(value, dict):
        value = {name: fact for name, fact in value.items() if fact is not None and name not in IN_THE_CARD}
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def main() -> None:
    """Read the command line and print."""
    parser = argparse.ArgumentParser(prog="xdistill info", description=__doc__)
    parser.add_argument("name", nargs="?", help="a bundled name, folder or Hub id; default: every bundled checkpoint")
    parser.add_argument("--image-size", type=_image_size_px, default=112, metavar="PX", help="default 112")
    default_device = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", type=_device, default=default_device, help=f"default {default_device}")
    arguments = parser.parse_args()
    print(
        f"xdistill-encoder {__version__}, torch {torch.__version__}, Python {platform.python_version()}, "
        f"device {arguments.device}, {torch.get_num_threads()} threads\n"
    )
    try:
        for name in [arguments.name] if arguments.name else bundled_checkpoints():
            print(describe(name, arguments.image_size, arguments.device) + "\n", flush=True)
    except CheckpointError as error:
        raise SystemExit(f"xdistill info: {error}") from error


def _image_size_px(text: str) -> int:
    if not text.isdecimal() or int(text) < MIN_SIZE_PX:
        raise argparse.ArgumentTypeError(f"expected a whole number of pixels from {MIN_SIZE_PX} up, got {text!r}")
    return int(text)


def _device(text: str) -> torch.device:
    try:
        device = torch.device(text)
        torch.empty(0, device=device)  # the device exists on this machine
    except (RuntimeError, AssertionError) as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no device of this machine ({str(error).splitlines()[0]})"
        ) from error
    return device
