"""Small real inputs: generated photographs in parquet, a teacher of real architecture with random weights."""

import io
import json
import os
import socket
from pathlib import Path

import datasets
import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

SHARED = Path(__file__).parents[3] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real images and the real teacher; without them tests skip, or fail if XDISTILL_NO_SKIPS is set."""
    if not SHARED.is_dir():
        if os.environ.get("XDISTILL_NO_SKIPS"):
            pytest.fail(f"XDISTILL_NO_SKIPS is set, and {SHARED} with the real images and the teacher is not there")
        pytest.skip(f"the real images and the teacher are not there: {SHARED}")
    return SHARED


def encode(array: np.ndarray) -> dict[str, bytes | None]:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


@pytest.fixture(scope="session")
def parquet(tmp_path_factory: pytest.TempPathFactory) -> str:
    """24 smooth random images of various sizes, labelled 0 or 1 (dark or bright)."""
    return write_images(tmp_path_factory.mktemp("images") / "train.parquet", seed=0)


@pytest.fixture(scope="session")
def bank(tmp_path_factory: pytest.TempPathFactory) -> str:
    """24 others, of the same classes."""
    return write_images(tmp_path_factory.mktemp("bank") / "bank.parquet", seed=1)


def write_images(path: Path, seed: int) -> str:
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(24):
        low = rng.integers(0, 100, (5, 5, 3), dtype=np.uint8) + 120 * (i % 2)
        rows.append(np.asarray(Image.fromarray(low.astype(np.uint8)).resize((40 + i, 64 - i))))
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["dark", "bright"])})
    table = datasets.Dataset.from_dict(
        {"image": [encode(row) for row in rows], "label": [i % 2 for i in range(24)]}, features=features
    )
    table.to_parquet(str(path))
    return str(path)


@pytest.fixture(scope="session")
def teacher_spec(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A ViT-Ti/16 of two blocks for 32 px images, random weights, in a folder as timm saves it."""
    folder = tmp_path_factory.mktemp("teacher") / "vit_random"
    folder.mkdir()
    torch.manual_seed(0)
    model = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=2, num_classes=0)
    save_file(model.state_dict(), folder / "model.safetensors")
    statistics = {"mean": [0.5, 0.4, 0.3], "std": [0.5, 0.6, 0.7], "input_size": [3, 32, 32], "num_classes": 0}
    config = {"architecture": "vit_tiny_patch16_224", "num_classes": 0, "model_args": {"img_size": 32, "depth": 2}}
    (folder / "config.json").write_text(json.dumps(config | {"pretrained_cfg": statistics}))
    return f"local-dir:{folder}"


@pytest.fixture
def free_port() -> int:
    """A TCP port of this machine on which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="session")
def files() -> dict[str, bytes]:
    """Name -> encoded image, in the order of the names: two classes, formats and sizes of all sorts."""
    rng = np.random.default_rng(1)
    kinds = {"a.JPEG": "JPEG", "b.png": "PNG", "c.webp": "WEBP", "d.gif": "GIF", "e.tif": "TIFF"}
    encoded = {}
    for folder in ("bright", "dark"):
        for i, (name, kind) in enumerate(kinds.items()):
            low = rng.integers(0, 100, (5, 5, 3), dtype=np.uint8) + 120 * (folder == "bright")
            buffer = io.BytesIO()
            Image.fromarray(low.astype(np.uint8)).resize((40 + i, 30)).save(buffer, kind)
            encoded[f"{folder}/{name}"] = buffer.getvalue()
    return encoded
