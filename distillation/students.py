"""Networks that learn to imitate the teacher."""

from typing import Any, Literal

from torch import Tensor, nn

from xdistill_encoder import XDistillResNet18


class Student(nn.Module):
    """The encoder with its linear layer to the teacher's width, both learning.

    Args:
        norm: "batch" or "group", the layers that the checkpoint is for.
        teacher_features: width D of the teacher's embedding.

    Attributes:
        origin: provenance of the checkpoint it started from; empty without one.
    """

    def __init__(self, norm: Literal["batch", "group"], teacher_features: int):
        super().__init__()
        self.encoder = XDistillResNet18(norm, teacher_features=teacher_features, check_values=False)
        self.encoder.unfreeze("teacher_head")
        self.origin: dict[str, Any] = {}

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W), uint8 in [0, 255] or float in [0, 1] -> (B, D), the estimate of the teacher's embedding."""
        return self.encoder.teacher_embedding(images)

    def start_from(self, checkpoint: str) -> None:
        """Take the encoder's weights from a checkpoint; its teacher head too, where the widths agree."""
        source = XDistillResNet18.from_pretrained(checkpoint, norm=self.encoder.norm)
        self.origin = source.checkpoint.as_origin() if source.checkpoint else {}
        self.encoder.trunk.load_state_dict(source.trunk.state_dict())
        head, theirs = self.encoder.teacher_head, source.teacher_head
        if head is not None and theirs is not None and head.out_features == theirs.out_features:
            head.load_state_dict(theirs.state_dict())
