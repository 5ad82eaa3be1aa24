"""Small vision transformers that others pretrained: DINOv2, Depth Anything, Theia."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from torch import Tensor, nn

from policy_examples.encoders.pixels import PixelInput, Preparation
from policy_examples.encoders.policy_encoder import PolicyEncoder
from policy_examples.encoders.settings import require_no_norm, require_readout
from policy_examples.encoders.vit_weights import resize_positions, to_timm
from policy_examples.encoders.weights import Weights, find_weights
from xdistill_encoder import readouts
from xdistill_encoder.checkpoints import fill

WIDTH, DEPTH, HEADS = 384, 12, 6
READOUTS = ("pooled", "spatial_softmax")


@dataclass(frozen=True)
class Pretrained:
    """One of the transformers, each ViT-S: 384 wide, 12 blocks, 6 heads.

    Attributes:
        weights: where they are published.
        prefix: of the encoder's keys among them.
        dropped: prefixes of the keys that belong to other parts.
        preparation: how its pretraining wanted images.
        epsilon: of its layer norms.
        layer_scale: whether its blocks scale their branches.
        cls: what "pooled" reads: the [CLS] token, or the mean of the patch tokens, after the final norm.
    """

    weights: Weights
    prefix: str
    dropped: tuple[str, ...]
    preparation: Preparation
    epsilon: float
    layer_scale: bool
    cls: bool


# The image processor of facebook/dinov2-small: 224 px, bicubic, ImageNet statistics. [CLS] is the embedding that DINOv2
# was trained for and that the paper distils.
DINOV2 = Pretrained(
    Weights("dinov2-s", "facebook/dinov2-small"),
    "",
    (),
    Preparation(224, 14, "bicubic"),
    1e-6,
    layer_scale=True,
    cls=True,
)
# The image processor of depth-anything/Depth-Anything-V2-Small-hf: 518 px, bicubic, ImageNet statistics. Its depth
# decoder reads the patch tokens alone (`DepthAnythingReassembleStage` drops [CLS]), so their mean is read here.
DEPTH_ANYTHING = Pretrained(
    Weights("depth-anything-s", "depth-anything/Depth-Anything-V2-Small-hf"),
    "backbone.",
    ("neck.", "head."),
    Preparation(518, 14, "bicubic"),
    1e-6,
    layer_scale=True,
    cls=False,
)
# bdaiinstitute/theia, models/backbones.py: the ViTModel that facebook/deit-small-patch16-224 configures, [CLS] and 196
# patch tokens, layer norms with 1e-12, behind that repository's image processor. Its file could not be read here:
# 224 px without a crop, bilinear, mean and std 0.5 are what such processors had, not confirmed. The heads that imitate
# CLIP, DINOv2 and ViT read the patch tokens alone (models/adapter_heads.py), and models/rvfm.py gives policies the
# patch tokens; [CLS] was never trained.
HALF = (0.5, 0.5, 0.5)
THEIA = Pretrained(
    Weights("theia-s", "theaiinstitute/theia-small-patch16-224-cdiv"),
    "backbone.model.",
    ("translator.",),
    Preparation(224, 16, "bilinear", mean=HALF, std=HALF),
    1e-12,
    layer_scale=False,
    cls=False,
)
VITS = {"dinov2-s": DINOV2, "depth-anything-s": DEPTH_ANYTHING, "theia-s": THEIA}


class VitReadout(nn.Module):
    """A vision transformer with the vector that a policy reads from it.

    Args:
        readout: "pooled", the [CLS] token or the mean of the patch tokens, whichever was trained; "spatial_softmax",
            the expected position of each channel on the grid of patches.
    """

    def __init__(self, pretrained: Pretrained, preparation: Preparation, readout: str) -> None:
        from timm.models.vision_transformer import VisionTransformer

        super().__init__()
        self.cls = pretrained.cls
        self.readout = readout
        self.grid = preparation.size_px // preparation.patch_px
        self.pixels = PixelInput(preparation)
        self.vit = VisionTransformer(
            img_size=preparation.size_px,
            patch_size=preparation.patch_px,
            num_classes=0,
            embed_dim=WIDTH,
            depth=DEPTH,
            num_heads=HEADS,
            init_values=1.0 if pretrained.layer_scale else None,
            norm_layer=partial(nn.LayerNorm, eps=pretrained.epsilon),  # type: ignore[arg-type]
        )
        self.num_features = WIDTH * (2 if readout == "spatial_softmax" else 1)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W), uint8 in [0, 255] or float in [0, 1] -> (B, num_features)."""
        tokens = self.vit.forward_features(self.pixels(images))  # (B, 1 + N, 384), after the final norm
        if self.readout == "spatial_softmax":
            return readouts.spatial_softmax(tokens[:, 1:].transpose(1, 2).unflatten(2, (self.grid, self.grid)))
        return tokens[:, 0] if self.cls else tokens[:, 1:].mean(dim=1)


def load_vit(
    name: str, checkpoint: str | None, norm: str | None, readout: str, image_size_px: int | None
) -> PolicyEncoder:
    """One of the transformers with its published weights.

    Args:
        image_size_px: a multiple of the patch; None: the size of its pretraining. Position embeddings are resampled as
            transformers does it, once: what learns afterwards is those of this size.

    Raises:
        ValueError: a norm, readout or size that it cannot have, weights that cannot be had or are of something else.
    """
    require_no_norm(name, norm)
    require_readout(name, readout, READOUTS)
    pretrained = VITS[name]
    size = pretrained.preparation.size_px if image_size_px is None else image_size_px
    saved = {"name": name, "norm": None, "readout": readout, "image_size_px": size, "origin": None}
    replace(pretrained.preparation, size_px=size)  # an impossible size fails here, before a download
    published, origin = find_weights(pretrained.weights, checkpoint)
    tensors = to_timm(encoder_part(published, pretrained, origin))
    encoder = empty_vit(saved | {"origin": origin})
    fill(encoder.network.vit, resize_positions(tensors, encoder.network.grid), origin)
    return encoder


def encoder_part(tensors: dict[str, Tensor], pretrained: Pretrained, origin: str) -> dict[str, Tensor]:
    """The encoder's tensors without their prefix; raises ValueError where some are of no part of that model."""
    kept = {key: tensor for key, tensor in tensors.items() if not key.startswith(pretrained.dropped)}
    foreign = [key for key in kept if not key.startswith(pretrained.prefix)]
    if foreign:
        raise ValueError(
            f"checkpoint: {origin} holds {foreign[0]!r}, expected keys of {pretrained.weights.repo_id}, which start "
            f"with {', '.join((pretrained.prefix, *pretrained.dropped))}; it is another model's."
        )
    return {key.removeprefix(pretrained.prefix): tensor for key, tensor in kept.items()}


def empty_vit(saved: dict[str, Any]) -> PolicyEncoder:
    """The architecture of one of the transformers, with random weights; raises ValueError as `load_vit` does."""
    require_readout(saved["name"], saved["readout"], READOUTS)
    pretrained = VITS[saved["name"]]
    preparation = replace(pretrained.preparation, size_px=saved["image_size_px"])
    network = VitReadout(pretrained, preparation, saved["readout"])
    return PolicyEncoder(network, "image", saved, saved["image_size_px"])
