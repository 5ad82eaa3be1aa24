"""Writes golden/<name>.json, the features of a generated image, for each bundled checkpoint.

    python -m tests.xdistill_encoder.write_golden [name ...]

Run it when a checkpoint is bundled, never to silence a test.
"""

import json
import sys
from pathlib import Path

import torch
from torch import Tensor

from xdistill_encoder import XDistillResNet18, bundled_checkpoints

GOLDEN_FOLDER = Path(__file__).parent / "golden"
HEIGHT_PX, WIDTH_PX = 224, 160


def golden_image() -> Tensor:
    """(1, 3, 224, 160) uint8: ramps, a disc, a checkerboard; integer arithmetic, so that it is the same everywhere."""
    y, x = torch.meshgrid(torch.arange(HEIGHT_PX), torch.arange(WIDTH_PX), indexing="ij")
    disc = (y - 90) ** 2 + (x - 60) ** 2 < 45**2
    board = (y // 16 + x // 16) % 2
    red = torch.where(disc, 220, x * 255 // WIDTH_PX)
    green = torch.where(disc, 60, y * 255 // HEIGHT_PX)
    blue = torch.where(disc, 40, 96 + 64 * board)
    return torch.stack([red, green, blue])[None].to(torch.uint8)


def features(name: str) -> dict[str, Tensor]:
    """On the CPU: pooled (512,), teacher_embedding (D,), channel means of the lower maps (64,), (128,), (256,)."""
    encoder = XDistillResNet18.from_pretrained(name)
    image = golden_image()
    with torch.inference_mode():
        *lower, _ = encoder.forward_pyramid(image)
        stages = {
            f"stride_{stride}": stage.mean(dim=(0, -2, -1)) for stride, stage in zip((4, 8, 16), lower, strict=True)
        }
        return stages | {"pooled": encoder(image)[0], "teacher_embedding": encoder.teacher_embedding(image)[0]}


def main() -> None:
    GOLDEN_FOLDER.mkdir(exist_ok=True)
    for name in sys.argv[1:] or bundled_checkpoints():
        golden = {
            "command": f"python -m tests.xdistill_encoder.write_golden {name}",
            "torch": torch.__version__,
            "weights_sha256": bundled_checkpoints()[name].weights_sha256,
            "features": {key: [float(f"{v:.6g}") for v in value.tolist()] for key, value in features(name).items()},
        }
        text = json.dumps(golden, indent=1).replace(",\n   ", ", ")  # a line a vector
        (GOLDEN_FOLDER / f"{name}.json").write_text(text + "\n")
        print(GOLDEN_FOLDER / f"{name}.json")


if __name__ == "__main__":
    main()
