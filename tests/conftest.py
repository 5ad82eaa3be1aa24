"""The environment of every test: no network beyond loopback, one random encoder to write and read."""

import os
import shutil
import socket
import tempfile

import pytest
import torch

from xdistill_encoder import XDistillResNet18
from xdistill_encoder.norms import Norm

TEACHER_FEATURES = 8


def isolate() -> None:
    """Point huggingface_hub, before anything imports it, at a port of this machine where only `hub` ever listens; hide
    GPUs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ |= {
        "HF_ENDPOINT": f"http://127.0.0.1:{port}",
        "HF_HOME": tempfile.mkdtemp(prefix="xdistill-tests-"),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
    if not os.environ.get("XDISTILL_TESTS_ON_GPU"):  # what compares with CPUs' results would fail where a GPU computes
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        os.environ.pop(name, None)


isolate()  # not in pytest_configure: the conftests below this one, which import huggingface_hub, are loaded before it


def pytest_unconfigure():
    shutil.rmtree(os.environ["HF_HOME"], ignore_errors=True)


@pytest.fixture(autouse=True)
def seeded():
    """Each test draws the same numbers, whatever ran before it."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def random_encoder():
    """(norm, seed) -> encoder with a teacher head, in eval mode; no tensor is at its initial constant."""

    def build(norm: Norm = "batch", seed: int = 0) -> XDistillResNet18:
        generator = torch.Generator().manual_seed(seed)
        encoder = XDistillResNet18(norm, teacher_features=TEACHER_FEATURES).eval()
        for tensor in encoder.state_dict().values():
            if tensor.is_floating_point() and tensor.ndim == 1:
                tensor.add_(torch.rand(tensor.shape, generator=generator))
            elif tensor.is_floating_point():
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * (2 / tensor[0].numel()) ** 0.5)
        return encoder

    return build


@pytest.fixture
def images():
    """(2, 3, 64, 64) uint8 noise."""
    return torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
