"""Pretrained ViTs and convnets of timm, without batch norm: folder or Hub repository -> encoder."""

import hashlib
import json
from pathlib import Path
from typing import Any, get_args

from safetensors import SafetensorError
from torch import nn

from policy_examples.encoders.backbones import TIMM, BackboneReadout
from policy_examples.encoders.pixels import Interpolation, Preparation
from policy_examples.encoders.policy_encoder import PolicyEncoder
from policy_examples.encoders.settings import require_no_norm, require_readout
from policy_examples.encoders.weights import FILE, Weights, find_folder

CONFIG = "config.json"
PUBLISHED = Weights("timm", "timm/MODEL", (CONFIG, FILE))
READOUTS = ("pooled", "spatial_softmax")


def load_timm(checkpoint: str | None, norm: str | None, readout: str, image_size_px: int | None) -> PolicyEncoder:
    """A model of timm, such as the teacher of a distillation, fed as it was pretrained: its mean, std, interpolation.

    Args:
        checkpoint: a folder with timm's config.json and model.safetensors, or "org/name" on the Hub, such as
            "timm/vit_small_patch14_dinov2.lvd142m", with "@<branch, tag or commit>" if need be.
        readout: "pooled", what the model itself pools, [CLS] of most transformers; "spatial_softmax" of its last map.
        image_size_px: a multiple of a transformer's patch, whose position embeddings are resampled at every call;
            None: the size of its pretraining.

    Raises:
        ValueError: no checkpoint, one that cannot be had or is none of timm's; a model with batch norm; a norm, readout
            or size that it cannot have.
    """
    if checkpoint is None:
        raise ValueError(
            "checkpoint: timm needs a folder or a Hub id, such as timm/vit_small_patch14_dinov2.lvd142m, got None; "
            "name one."
        )
    require_no_norm("timm", norm)
    require_readout("timm", readout, READOUTS)
    folder, origin = find_folder(PUBLISHED, checkpoint)
    model, declared = read_timm_config(folder)
    saved = {
        "name": "timm",
        "norm": None,
        "readout": readout,
        "image_size_px": image_size_px or declared["input_size"][1],
        "interpolation": declared["interpolation"],
        "mean": declared["mean"],
        "std": declared["std"],
        "architecture": TIMM + model,
        "origin": origin,
        "weights_sha256": timm_sha256(folder),
    }
    encoder = empty_timm(saved)
    load_pretrained(encoder.network.trunk, folder, model)
    return encoder


def empty_timm(saved: dict[str, Any]) -> PolicyEncoder:
    """The architecture of a timm model, with random weights; raises ValueError as `load_timm` does."""
    network = BackboneReadout(saved["architecture"], None, None, saved["readout"])
    statistics = (tuple(saved["mean"]), tuple(saved["std"]))
    network.prepare(Preparation(saved["image_size_px"], network.patch_px, saved["interpolation"], *statistics))
    return PolicyEncoder(network, "image", saved, saved["image_size_px"])


def timm_sha256(folder: Path) -> str:
    """Checksum of the weights in a folder; raises OSError where there are none."""
    return hashlib.sha256((folder / FILE).read_bytes()).hexdigest()


def read_timm_config(folder: Path) -> tuple[str, dict[str, Any]]:
    """The architecture that timm's config.json names, and how its pretraining prepared images.

    Raises:
        ValueError: a file that is no such thing, or a preparation that cannot be repeated.
    """
    import timm
    from timm.data import resolve_data_config

    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"checkpoint: {folder / CONFIG} is no JSON ({error}); fetch it again.") from error
    if not isinstance(config, dict) or "format_version" in config:
        raise ValueError(
            f"checkpoint: {folder} was not written by timm; a checkpoint of `xdistill distill` is loaded as encoder "
            "'xdistill' or 'student'."
        )
    model = config.get("architecture")
    if not isinstance(model, str) or not timm.is_model(model):
        raise ValueError(
            f"checkpoint: {folder / CONFIG} names the architecture {model!r}, which timm {timm.__version__} does not "
            "know; name a folder that timm wrote, or upgrade timm."
        )
    if config.get("model_args"):
        raise ValueError(
            f"checkpoint: {folder / CONFIG} changes the architecture of {model} by model_args, {config['model_args']}, "
            "with which a policy does not build it; take a model without."
        )
    declared = resolve_data_config(pretrained_cfg=config.get("pretrained_cfg", config))
    if declared["interpolation"] not in get_args(Interpolation):
        raise ValueError(
            f"checkpoint: {folder / CONFIG} wants images resized by {declared['interpolation']!r}; accepted are "
            f"{' and '.join(map(repr, get_args(Interpolation)))}; choose one of them in your copy of the file."
        )
    channels, height, width = declared["input_size"]
    if channels != 3 or height != width:
        raise ValueError(
            f"checkpoint: expected a model of square images of 3 channels, {folder / CONFIG} says "
            f"{channels} x {height} x {width}; take another one."
        )
    return model, declared


def load_pretrained(trunk: nn.Module, folder: Path, architecture: str) -> None:
    """Fill a trunk of that architecture from the folder's file, as timm adapts it: keys, position embeddings.

    Raises:
        ValueError: weights of another architecture.
    """
    import timm
    from timm.layers import PatchEmbed

    embed: Any = getattr(trunk, "patch_embed", None)
    sized: dict[str, Any] = {"img_size": embed.img_size} if isinstance(embed, PatchEmbed) else {}
    try:
        model: Any = timm.create_model(f"local-dir:{folder}", pretrained=True, **sized)
        model.reset_classifier(0)
        trunk.load_state_dict(model.state_dict())
    except (TypeError, AssertionError, RuntimeError, ValueError, SafetensorError) as error:
        raise ValueError(
            f"checkpoint: the weights in {folder} do not make a {architecture} "
            f"({' '.join(str(error).split())[:300]}); fetch them again, or upgrade timm."
        ) from error
