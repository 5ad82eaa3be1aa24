"""Bare loops on tensors in memory, which bound what a distillation can reach."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models import resnet18

Call = Callable[[], None]


def autocast(device: torch.device, precision: str) -> AbstractContextManager:
    """ "bf16", "fp16" or "no", the recipe's words."""
    dtype = torch.float16 if precision == "fp16" else torch.bfloat16
    return torch.autocast(device.type, dtype, enabled=precision != "no")


def bare_teacher(model: nn.Module, size_px: int, batch_size: int, precision: str, device: torch.device) -> Call:
    """Embed one batch with a timm model in eval mode; nothing around it."""
    images = torch.randn(batch_size, 3, size_px, size_px, device=device)
    embed: Any = model.forward_features

    @torch.inference_mode()
    def call() -> None:
        with autocast(device, precision):
            embed(images)

    return call


def bare_student(width: int, size_px: int, batch_size: int, precision: str, device: torch.device) -> Call:
    """One training step of torchvision's resnet18, channels_last, with AdamW, MSE to (B, width) targets."""
    layout = torch.channels_last
    model = resnet18(num_classes=width).to(device).to(memory_format=layout)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    images = torch.randn(batch_size, 3, size_px, size_px, device=device).contiguous(memory_format=layout)
    targets = torch.randn(batch_size, width, device=device)

    def call() -> None:
        with autocast(device, precision):
            embeddings = model(images)
        F.mse_loss(embeddings.float(), targets).backward()
        optimizer.step()
        optimizer.zero_grad()

    return call


def seconds_a_call(call: Call, device: torch.device, calls: int) -> float:
    """Mean over `calls` calls, after two that do not count."""
    for _ in range(2):
        call()
    synchronize(device)
    start = time.perf_counter()
    for _ in range(calls):
        call()
    synchronize(device)
    return (time.perf_counter() - start) / calls


def synchronize(device: torch.device) -> None:
    """Wait for what a GPU was asked to do."""
    if device.type == "cuda":
        torch.cuda.synchronize()
