"""The encoder as one graph: uint8 images -> a readout."""

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch._dynamo.exc import UserError
from torch.export import Dim, ExportedProgram

from xdistill_encoder.images import MIN_SIZE_PX, ImageNormalizer
from xdistill_encoder.model import XDistillResNet18

METHODS = {  # readout: (method of the encoder, names of its outputs)
    "pooled": ("forward", ("features",)),
    "features": ("forward_features", ("feature_map",)),
    "pyramid": ("forward_pyramid", ("stride4", "stride8", "stride16", "stride32")),
    "spatial_softmax": ("forward_spatial_softmax", ("positions",)),
    "tokens": ("forward_tokens", ("tokens",)),
    "teacher_embedding": ("teacher_embedding", ("embedding",)),
}
INPUT_NAME = "images"
MAX_BATCH = 4096
SIZES_PX = (MIN_SIZE_PX + 1, 4096)
"""Height and width of a graph for any size: torch.export takes a map of a single position for a case of its own."""


class EncoderGraph(nn.Module):
    """A copy of the encoder in eval mode, (B, 3, H, W) uint8 -> a readout in float32, normalisation inside.

    Args:
        encoder: stays as it is.
        readout: a key of `METHODS`.
        half: compute in float16.

    Raises:
        ValueError: unknown readout, or "teacher_embedding" of an encoder without its head.
    """

    def __init__(self, encoder: XDistillResNet18, readout: str, half: bool = False):
        super().__init__()
        if readout not in METHODS:
            raise ValueError(f"readout: expected one of {', '.join(METHODS)}, got {readout!r}")
        if readout == "teacher_embedding" and encoder.teacher_head is None:
            raise ValueError("readout: this encoder has no teacher head, so it has no 'teacher_embedding' to export")
        self.readout = readout
        self.encoder = deepcopy(encoder).cpu().float().eval().requires_grad_(False)
        self.encoder.normalizer = ImageNormalizer()  # pixels come as uint8, whatever the encoder's host does
        if readout != "teacher_embedding":
            self.encoder.teacher_head = None
        if half:
            self.encoder.half()
        self.eval()

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """(B, 3, H, W) uint8 -> (B, ...) float32; "pyramid" gives four maps."""
        outputs = getattr(self.encoder, METHODS[self.readout][0])(images)
        return outputs.float() if isinstance(outputs, Tensor) else tuple(each.float() for each in outputs)


def dynamic_shapes(image_size: tuple[int, int] | None) -> dict[str, dict[int, Dim]]:
    """What of the input may vary: the batch, and height and width where no image size is given."""
    free = {0: Dim("batch", min=1, max=MAX_BATCH)}
    if image_size is None:
        free |= {axis: Dim(name, min=SIZES_PX[0], max=SIZES_PX[1]) for axis, name in ((2, "height"), (3, "width"))}
    return {INPUT_NAME: free}


def example(image_size: tuple[int, int] | None) -> Tensor:
    """An input to trace with: no size of it is 1, or equals another, where it may vary."""
    height, width = image_size or (96, 128)
    return torch.zeros(2, 3, height, width, dtype=torch.uint8, device="cpu")


def traced(graph: EncoderGraph, image_size: tuple[int, int] | None) -> ExportedProgram:
    """The graph by torch.export, for any batch.

    Raises:
        ValueError: a torch that cannot export it for any image size, as 2.11.
    """
    shapes = dynamic_shapes(image_size)
    try:
        return torch.export.export(graph, (example(image_size),), dynamic_shapes=shapes, strict=False)
    except UserError as error:
        if image_size is not None:
            raise
        raise ValueError(
            f"image_size: torch {torch.__version__} cannot export this encoder for any size; name one, such as 96 96, "
            "or take a newer torch"
        ) from error
