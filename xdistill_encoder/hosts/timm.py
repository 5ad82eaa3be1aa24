"""The encoder as a folder that timm loads."""

from pathlib import Path

from xdistill_encoder.hosts.folders import normalisation, provenance, write_folder
from xdistill_encoder.hosts.needs import require_host
from xdistill_encoder.model import XDistillResNet18

INSTALL = "pip install 'xdistill-encoder[timm]'"
GROUP_NORM_ARCHITECTURE = "xdistill_resnet18_gn"
"""What `xdistill_encoder.hosts.timm_group_norm` registers."""


def export_timm(encoder: XDistillResNet18, folder: str | Path) -> Path:
    """Write config.json with model.safetensors; `timm.create_model("local-dir:<folder>", pretrained=True)` reads them.

    Uploaded as they are, `hf-hub:org/name` reads them too. Images go in normalised with ImageNet's mean and std
    (`timm.data.resolve_model_data_config(model)`), of any size from 32 px. Batch norm, frozen or not, is timm's own
    `resnet18`. timm's group norm has other groups: a folder with group norm loads after
    `import xdistill_encoder.hosts.timm_group_norm`.

    Returns:
        The folder.

    Raises:
        ValueError: the folder holds a checkpoint of this package.
        ImportError: timm is missing, or of an untried version.
    """
    require_host("timm", INSTALL)
    pretrained = {
        "tag": "xdistill",
        "custom_load": False,
        "input_size": [3, 224, 224],
        "fixed_input_size": False,
        "interpolation": "bilinear",
        "crop_pct": 1.0,
        "crop_mode": "center",
        **normalisation("mean", "std"),
        "num_classes": 0,
        "pool_size": [7, 7],
        "first_conv": "conv1",
        "classifier": "fc",
    }
    config = {
        "architecture": GROUP_NORM_ARCHITECTURE if encoder.norm == "group" else "resnet18",
        "num_classes": 0,
        "num_features": encoder.num_features,
        "global_pool": "avg",
        "pretrained_cfg": pretrained,
        "xdistill": provenance(encoder),
    }
    return write_folder(folder, {"config.json": config}, encoder.trunk.state_dict())
