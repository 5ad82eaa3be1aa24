"""Name of an encoder under comparison -> encoder."""

from typing import Any, Literal, get_args

from policy_examples.encoders import resnets, students, timm_models, vits
from policy_examples.encoders.point_clouds import PointNet
from policy_examples.encoders.policy_encoder import PolicyEncoder
from policy_examples.encoders.settings import (
    PolicyNorm,
    Readout,
    require_no_checkpoint,
    require_no_norm,
    require_no_size,
    require_readout,
)

EncoderName = Literal[
    "xdistill",
    "resnet18-scratch",
    "resnet18-imagenet",
    "dinov2-s",
    "depth-anything-s",
    "theia-s",
    "timm",
    "student",
    "pointnet-dp3",
    "blind",
]


def load_encoder(
    name: EncoderName,
    checkpoint: str | None = None,
    norm: PolicyNorm | None = None,
    readout: Readout = "pooled",
    *,
    image_size_px: int | None = None,
    allow_batch_norm: bool = False,
) -> PolicyEncoder:
    """The encoder as fine-tuning starts from it; random weights are drawn from torch's global generator.

    Args:
        name: "xdistill", the product; "resnet18-scratch", the same network untrained; "resnet18-imagenet", the same
            supervised; "dinov2-s", "depth-anything-s", "theia-s", small vision transformers; "timm", a ViT or
            convnet of timm without batch norm, such as a distillation's teacher; "student", what an ablation distilled;
            "pointnet-dp3", which reads points; "blind", which reads nothing: a task that it solves says nothing about
            encoders.
        checkpoint: for xdistill a bundled name, a folder or a Hub id, None is the bundled default; for timm a folder
            that timm wrote or a Hub id; for student the folder that a distillation wrote; for the others that were
            pretrained elsewhere a folder with their model.safetensors or another Hub id, None is where they are
            published.
        norm: of a ResNet; None is what its weights were trained with, "frozen" for batch norm, and "group" without
            weights.
        readout: what becomes of the last map: "pooled", "spatial_softmax" or, where the checkpoint has the linear layer
            to its teacher's width, "teacher_embedding".
        image_size_px: side to which frames are resized; None is what the encoder was pretrained on, or, where that is
            every size, the frames as they come.
        allow_batch_norm: accept norm="batch", for a run that shows what it does to an averaged policy.

    Raises:
        ValueError: an unknown name; an argument that the encoder does not have; weights that cannot be had.
    """
    resnet_arguments = (checkpoint, norm, readout, image_size_px, allow_batch_norm)
    match name:
        case "xdistill":
            return resnets.load_xdistill(*resnet_arguments)
        case "resnet18-scratch":
            return resnets.load_scratch(*resnet_arguments)
        case "resnet18-imagenet":
            return resnets.load_imagenet(*resnet_arguments)
        case "student":
            return students.load_student(*resnet_arguments)
        case "dinov2-s" | "depth-anything-s" | "theia-s":
            return vits.load_vit(name, checkpoint, norm, readout, image_size_px)
        case "timm":
            return timm_models.load_timm(checkpoint, norm, readout, image_size_px)
        case "pointnet-dp3" | "blind":
            require_no_checkpoint(name, checkpoint)
            require_no_norm(name, norm)
            require_no_size(name, image_size_px)
            require_readout(name, readout, ("pooled",))
            return without_images(name)
    raise ValueError(f"encoder: accepted are {', '.join(get_args(EncoderName))}; got {name!r}.")


def empty_encoder(saved: dict[str, Any]) -> PolicyEncoder:
    """The architecture that `PolicyEncoder.saved` describes, for the weights of a saved policy; needs no network.

    Raises:
        ValueError: a description of another version.
    """
    try:
        match saved["name"]:
            case "xdistill" | "resnet18-scratch" | "resnet18-imagenet":
                return resnets.empty_resnet(saved)
            case "student":
                return students.empty_student(saved)
            case "dinov2-s" | "depth-anything-s" | "theia-s":
                return vits.empty_vit(saved)
            case "timm":
                return timm_models.empty_timm(saved)
            case "pointnet-dp3" | "blind":
                return without_images(saved["name"])
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"encoder: the description {saved!r} is not of this version ({error!r}); train it again."
        ) from error
    raise ValueError(f"encoder: accepted are {', '.join(get_args(EncoderName))}; got {saved['name']!r}.")


def without_images(name: str) -> PolicyEncoder:
    """DP3's point encoder, or no encoder at all."""
    saved = {"name": name, "norm": None, "readout": "pooled", "image_size_px": None, "origin": None}
    return (
        PolicyEncoder(PointNet(), "point_cloud", saved) if name == "pointnet-dp3" else PolicyEncoder(None, None, saved)
    )
