"""What an encoder costs, for the benchmark's table."""

import statistics
import time
from dataclasses import dataclass

import torch
from torch import Tensor

from policy_examples.encoders.policy_encoder import PolicyEncoder

WARM_UP = 3


@dataclass(frozen=True)
class EncoderFacts:
    """One row of the table; frame_ms was measured on this machine, nothing else depends on it."""

    name: str
    parameters: int
    features: int
    """D, what the policy is conditioned on, for each frame."""
    image_size_px: int | None
    """Side to which the encoder resizes; None: it reads what comes."""
    frame_ms: float
    """Median time of one frame, from uint8 pixels to features; 0 of blind."""
    device: str


def describe(encoder: PolicyEncoder, *, frame_px: int = 128, points: int = 512, repeats: int = 20) -> EncoderFacts:
    """Count an encoder's parameters, time it on the device where it lies.

    Args:
        frame_px: side of the frame that it gets.
        points: number of points that it gets, where it reads points; DP3's default.
        repeats: timed forward passes, after three that warm up.

    Raises:
        ValueError: repeats below 1.
    """
    if repeats < 1:
        raise ValueError(f"repeats: expected 1 or more, got {repeats}.")
    device = next((parameter.device for parameter in encoder.parameters()), torch.device("cpu"))
    frame = example_frame(encoder, frame_px, points).to(device)
    milliseconds = 0.0 if encoder.reads is None else frame_ms(encoder, frame, repeats)
    return EncoderFacts(
        encoder.name, encoder.parameter_count, encoder.num_features, encoder.image_size_px, milliseconds, device.type
    )


def example_frame(encoder: PolicyEncoder, frame_px: int, points: int) -> Tensor:
    """A frame of the kind that the encoder reads, random: (1, 1, 3, H, W) uint8 or (1, 1, N, 3) float32."""
    generator = torch.Generator().manual_seed(0)
    if encoder.reads == "point_cloud":
        return torch.rand(1, 1, points, 3, generator=generator)
    return torch.randint(0, 256, (1, 1, 3, frame_px, frame_px), dtype=torch.uint8, generator=generator)


def frame_ms(encoder: PolicyEncoder, frame: Tensor, repeats: int) -> float:
    """Median time in ms of a forward pass in eval mode; the encoder's mode is as before afterwards."""
    training = encoder.training
    encoder.eval()
    times = []
    with torch.inference_mode():
        for _ in range(WARM_UP + repeats):
            synchronize(frame.device)
            began = time.perf_counter()
            encoder(frame)
            synchronize(frame.device)
            times.append(time.perf_counter() - began)
    encoder.train(training)
    return 1000 * statistics.median(times[WARM_UP:])


def synchronize(device: torch.device) -> None:
    """Wait for a GPU; the CPU has nothing pending."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
