"""`xdistill info`: what the bundled checkpoints are, how fast they run here."""

import argparse
import json
import platform
import statistics
import time

import torch

from xdistill_encoder import __version__
from xdistill_encoder.checkpoints import CheckpointError, bundled_checkpoints
from xdistill_encoder.model import XDistillResNet18


def latency_ms(encoder: XDistillResNet18, image_size_px: int, batch: int, device: torch.device, repeats: int = 15) -> float:
    """Median time in ms of one forward pass over a uint8 batch, after three that do not count."""
    images = torch.randint(0, 256, (batch, 3, image_size_px, image_size_px), dtype=torch.uint8, device=device)
    times = []
    with torch.inference_mode():
        for _ in range(repeats + 3):
            start = time.perf_counter()
            encoder(images)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times[3:])


def describe(name: str, image_size_px: int, device: torch.device) -> str:
    """One checkpoint in lines: norm, parameters, latency, provenance, scores."""
    encoder = XDistillResNet18.from_pretrained(name).to(device)
    config = encoder.checkpoint
    assert config is not None
    trunk = sum(p.numel() for p in encoder.trunk.parameters())
    head = sum(p.numel() for p in encoder.teacher_head.parameters()) if encoder.teacher_head else 0
    lines = [
        f"{config.name}",
        f"  norm         {config.norm}" + (" (also as frozen)" if config.norm == "batch" else ""),
        f"  parameters   {trunk:,} in the trunk, {head:,} in the teacher head",
        f"  sha256       {config.weights_sha256[:16]}…",
    ]
    for batch in (1, 32):
        lines.append(f"  latency      {latency_ms(encoder, image_size_px, batch, device):.1f} ms, batch {batch}, {image_size_px} px")
    for key, value in config.provenance.items():
        lines.append(f"  {key:12} {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}")
    return "\n".join(lines)


def main() -> None:
    """Read the command line and print."""
    parser = argparse.ArgumentParser(prog="xdistill info", description=__doc__)
    parser.add_argument("name", nargs="?", help="a bundled name, folder or Hub id; default: every bundled checkpoint")
    parser.add_argument("--image-size", type=int, default=224, metavar="PX", help="for the latency (default 224)")
    parser.add_argument("--device", type=torch.device, default=torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    arguments = parser.parse_args()
    print(
        f"xdistill-encoder {__version__}, torch {torch.__version__}, Python {platform.python_version()}, "
        f"device {arguments.device}, {torch.get_num_threads()} threads\n"
    )
    try:
        for name in [arguments.name] if arguments.name else bundled_checkpoints():
            print(describe(name, arguments.image_size, arguments.device) + "\n")
    except CheckpointError as error:
        raise SystemExit(f"xdistill info: {error}") from error
