"""The encoder as a `backbone_class` of robomimic: importing this makes "XDistillConv" known to its configs."""

# pyright: reportMissingImports=false

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor

from xdistill_encoder import finetuning
from xdistill_encoder.hosts.needs import require_host
from xdistill_encoder.model import XDistillResNet18
from xdistill_encoder.norms import Norm

require_host("robomimic", "pip install 'xdistill-encoder[robomimic]' && pip install --no-deps robomimic==0.3.0")

from robomimic.models import obs_core  # noqa: E402
from robomimic.models.base_nets import ConvBase  # noqa: E402


class XDistillConv(ConvBase):
    """Images in [0, 1], as robomimic gives them, (B, 3, H, W) -> the last map (B, 512, h, w).

    The normalisation is inside. Pooling (`pool_class`), crops (`obs_randomizer_class`) and `feature_dimension` stay
    robomimic's.

    Args:
        input_channel: 3; robomimic says it.
        checkpoint: as in `XDistillResNet18.from_pretrained`; None: the bundled one for the norm.
        norm: "frozen" or "group"; live batch norm is refused, because robomimic's policies train on small batches, and
            the Diffusion Policy of its later versions swaps it for fresh group norm.
        freeze: stages that take no gradient: "stem", "layer1" to "layer4".
        pretrained: as robomimic's own ResNet has it in many a config; False is refused, because it asks for a network
            without what was distilled.

    Raises:
        ValueError: another number of channels or norm, no such checkpoint, an unknown stage.
    """

    loads_weights = True
    """False inside `weights_come_from_robomimic`."""

    def __init__(
        self,
        input_channel: int = 3,
        checkpoint: str | None = None,
        norm: Norm = "frozen",
        freeze: Sequence[str] = (),
        pretrained: bool = True,
    ):
        super().__init__()
        if input_channel != 3:
            raise ValueError(f"input_channel: the encoder reads RGB, expected 3, got {input_channel}")
        if norm not in ("frozen", "group"):
            raise ValueError(f"norm: expected 'frozen' or 'group', got {norm!r}")
        if not pretrained:
            raise ValueError(
                "pretrained: this backbone starts from distilled weights, got False, which robomimic's configs say of "
                "their own ResNet; take it out of backbone_kwargs"
            )
        load = self.loads_weights
        encoder = XDistillResNet18.from_pretrained(checkpoint, norm=norm) if load else XDistillResNet18(norm)
        encoder.teacher_head = None
        if freeze:
            encoder.freeze(*finetuning.named_stages(freeze, finetuning.TRUNK_STAGES))
        self.nets = encoder

    def output_shape(self, input_shape: Sequence[int]) -> list[int]:
        """[3, H, W] -> [512, h, w]."""
        return list(self.nets.output_shape((input_shape[1], input_shape[2]), "features"))  # type: ignore[arg-type]

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, 512, h, w)."""
        return self.nets.forward_features(inputs)


@contextmanager
def weights_come_from_robomimic() -> Iterator[None]:
    """Build the network alone, for opening a robomimic checkpoint where the encoder's own is no longer at hand."""
    XDistillConv.loads_weights = False
    try:
        yield
    finally:
        XDistillConv.loads_weights = True


obs_core.XDistillConv = XDistillConv  # robomimic evaluates the name of a backbone_class in this module
