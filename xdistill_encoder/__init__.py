"""Pretrained ResNet-18 image encoders for robot policies, distilled from vision transformers."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xdistill_encoder.checkpoints import CheckpointError, bundled_checkpoints
    from xdistill_encoder.model import XDistillResNet18
    from xdistill_encoder.readouts import spatial_softmax

__version__ = "0.1.0"

__all__ = ["CheckpointError", "XDistillResNet18", "__version__", "bundled_checkpoints", "spatial_softmax"]

_MODULES = {
    "CheckpointError": "checkpoints",
    "XDistillResNet18": "model",
    "bundled_checkpoints": "checkpoints",
    "spatial_softmax": "readouts",
}


def __getattr__(name: str) -> Any:
    """A public name, imported when it is first asked for: `xdistill --help` need not wait for torch."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return __all__
