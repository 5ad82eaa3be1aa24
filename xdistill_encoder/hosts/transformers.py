"""The encoder as a folder that transformers loads, without remote code."""

from pathlib import Path

from xdistill_encoder.hosts.folders import normalisation, provenance, write_folder
from xdistill_encoder.hosts.needs import require_host
from xdistill_encoder.model import XDistillResNet18

HALVES = {"conv": "convolution", "bn": "normalization"}


def export_transformers(encoder: XDistillResNet18, folder: str | Path) -> Path:
    """Write the three files that `AutoModel`, `AutoBackbone` and `AutoImageProcessor` read.

    The model is transformers' own ResNet: `last_hidden_state` (B, 512, h, w) is `forward_features`, `pooler_output`
    (B, 512, 1, 1) is `forward`; `ResNetBackbone.from_pretrained(folder, out_features=["stage1", ...])` gives the
    pyramid (so does `AutoBackbone` where the files lie on the Hub; that of transformers 5 does not look into folders).
    The processor takes uint8 images as they are, divides by 255, applies ImageNet's mean and std, keeps the size.

    Returns:
        The folder.

    Raises:
        ValueError: group norm, which transformers' ResNet does not have; the folder holds a checkpoint of this package.
        ImportError: transformers is missing, or of an untried version.
    """
    require_host("transformers", "pip install 'xdistill-encoder[transformers]'")
    if encoder.norm == "group":
        raise ValueError(
            "norm: transformers' ResNet has batch norm alone, this encoder has group norm; load a checkpoint with "
            "batch norm, or use the timm folder (xdistill_encoder.hosts.timm.export_timm)"
        )
    config = {
        "architectures": ["ResNetModel"],
        "model_type": "resnet",
        "num_channels": 3,
        "embedding_size": 64,
        "hidden_sizes": [64, 128, 256, 512],
        "depths": [2, 2, 2, 2],
        "layer_type": "basic",
        "hidden_act": "relu",
        "downsample_in_first_stage": False,
        "xdistill": provenance(encoder),
    }
    processor = {
        "image_processor_type": "ViTImageProcessor",  # the one that ResNet has by default crops
        "do_convert_rgb": True,
        "do_resize": False,
        "size": {"height": 224, "width": 224},
        "resample": 2,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        **normalisation("image_mean", "image_std"),
    }
    tensors = {transformers_key(key): tensor for key, tensor in encoder.trunk.state_dict().items()}
    return write_folder(folder, {"config.json": config, "preprocessor_config.json": processor}, tensors)


def transformers_key(key: str) -> str:
    """torchvision's name of a ResNet-18 tensor -> that of transformers' ResNet.

    "layer2.0.downsample.1.weight" -> "encoder.stages.1.layers.0.shortcut.normalization.weight".
    """
    first, *rest = key.split(".")
    if first in ("conv1", "bn1"):
        return f"embedder.embedder.{HALVES[first[:-1]]}.{rest[0]}"
    block, part, *rest = rest
    place = f"encoder.stages.{int(first.removeprefix('layer')) - 1}.layers.{block}"
    if part == "downsample":
        half, name = rest
        return f"{place}.shortcut.{'convolution' if half == '0' else 'normalization'}.{name}"
    return f"{place}.layer.{int(part[-1]) - 1}.{HALVES[part[:-1]]}.{rest[0]}"
