"""Measure the steady rate of LightlyTrain's `method="distillation"`, in an environment that holds it.

LightlyTrain is AGPL-3.0: it is installed beside this project, never with it, and used through `lightly_train.pretrain`
alone. `python3 -m venv ENV && ENV/bin/pip install lightly-train==0.18.0 timm` makes the environment. The last line
printed is JSON: version, images_per_second, first_step_s, steps.
"""

import argparse
import json
import time
from importlib.metadata import version
from pathlib import Path

import lightly_train  # pyright: ignore[reportMissingImports]
import torch
import torchvision
from torch import Tensor, nn


class Clock:
    """Forward hook that notes when each training step enters the student."""

    def __init__(self):
        self.seconds: list[float] = []

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if module.training:
            self.seconds.append(time.perf_counter())


def measure(arguments: argparse.Namespace) -> dict[str, object]:
    """Train for `arguments.steps` steps; images per second between the steps after the first `arguments.skip`.

    The student is torchvision's resnet18, given as a module so that the clock can sit on its first layer. The crop is
    the recipe's `paper` view: a random resized crop of at least 35 % of the area, mirrored half of the time; with
    `--colour` the peer's own defaults for colour come on top. No checkpoint is written in the measured time.
    """
    start, clock = time.perf_counter(), Clock()
    student = torchvision.models.resnet18()
    student.conv1.register_forward_pre_hook(clock)
    transforms: dict[str, object] = {
        "image_size": (arguments.image_size, arguments.image_size),
        "random_resize": {"min_scale": 0.35, "max_scale": 1.0},
    }
    if not arguments.colour:
        transforms |= {"color_jitter": None, "gaussian_blur": None, "random_gray_scale": None}
    lightly_train.pretrain(
        out=str(arguments.output),
        overwrite=True,
        data=str(arguments.images),
        model=student,
        method="distillation",
        method_args={"teacher": arguments.teacher, "teacher_weights": str(arguments.teacher_weights)},
        transform_args=transforms,
        batch_size=arguments.batch_size,
        num_workers=arguments.workers,
        accelerator="gpu" if torch.cuda.is_available() else "cpu",  # with "auto", bf16 is off on a CPU
        precision=arguments.precision,
        epochs=1000,  # more than the steps need; the learning rate has no part in the speed
        loggers={"tensorboard": None},
        callbacks={"model_checkpoint": None, "model_export": None},
        trainer_args={"max_steps": arguments.steps},
    )
    steady = clock.seconds[arguments.skip :]
    return {
        "version": version("lightly-train"),
        "images_per_second": arguments.batch_size * (len(steady) - 1) / (steady[-1] - steady[0]),
        "first_step_s": clock.seconds[0] - start,
        "steps": len(clock.seconds),
    }


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=Path, required=True, help="folder of image files")
    parser.add_argument("--output", type=Path, required=True, help="folder for what LightlyTrain writes")
    parser.add_argument("--teacher", default="timm/vit_tiny_patch16_224", help="its architecture, LightlyTrain's name")
    parser.add_argument("--teacher-weights", type=Path, required=True, help="safetensors file")
    parser.add_argument("--image-size", type=int, default=224, help="side of the views in px")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2, help="processes that decode images")
    parser.add_argument("--precision", default="bf16-mixed", help="as Lightning names it")
    parser.add_argument("--steps", type=int, default=14)
    parser.add_argument("--skip", type=int, default=4, help="first steps, which do not count; at least two must follow")
    parser.add_argument("--colour", action="store_true", help="LightlyTrain's default jitter, blur and grey too")
    arguments = parser.parse_args()
    if arguments.steps < arguments.skip + 2:
        parser.error(f"--steps {arguments.steps}: at least two must follow the {arguments.skip} of --skip")
    print(json.dumps(measure(arguments)))


if __name__ == "__main__":
    main()
