"""Pretrained ResNet-18 image encoders for robot policies, distilled from vision transformers."""

from xdistill_encoder.checkpoints import CheckpointError, bundled_checkpoints
from xdistill_encoder.model import XDistillResNet18
from xdistill_encoder.readouts import spatial_softmax

__version__ = "0.1.0"

__all__ = ["CheckpointError", "XDistillResNet18", "__version__", "bundled_checkpoints", "spatial_softmax"]
