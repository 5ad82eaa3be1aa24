"""How long an encoder takes for a frame."""

import statistics
import time

import torch
from torch import Tensor

from policy_examples.encoders.policy_encoder import PolicyEncoder

WARM_UP = 3


def example_frame(encoder: PolicyEncoder, frame_px: int, points: int) -> Tensor:
    """A frame of the kind that the encoder reads, random: (1, 1, 3, H, W) uint8 or (1, 1, N, 3) float32."""
    generator = torch.Generator().manual_seed(0)
    if encoder.reads == "point_cloud":
        return torch.rand(1, 1, points, 3, generator=generator)
    return torch.randint(0, 256, (1, 1, 3, frame_px, frame_px), dtype=torch.uint8, generator=generator)


def frame_ms(encoder: PolicyEncoder, frame_px: int, points: int, repeats: int = 20) -> float | None:
    """Median time in ms of one frame, from uint8 pixels to features, in eval mode on the device where the encoder lies.

    None of an encoder that reads nothing. The encoder's mode is as before afterwards.

    Args:
        frame_px: side of the frame that it gets.
        points: number of points that it gets, where it reads points.
        repeats: timed forward passes, after three that warm up.
    """
    if encoder.reads is None:
        return None
    frame = example_frame(encoder, frame_px, points).to(next(encoder.parameters()).device)
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
