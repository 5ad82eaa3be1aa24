"""Small policies of every kind of encoder that reads pixels."""

import pytest
import torch

from policy_examples.encoders import empty_encoder, load_encoder
from policy_examples.policy import DiffusionPolicy
from policy_examples.policy_shape import PolicyShape

SAVED = {"norm": None, "readout": "pooled", "origin": None, "teacher_features": None}
ENCODERS = {
    "resnet18-scratch": {**SAVED, "name": "resnet18-scratch", "norm": "group", "image_size_px": None},
    "softmax": {
        **SAVED,
        "name": "resnet18-scratch",
        "norm": "group",
        "image_size_px": 64,
        "readout": "spatial_softmax",
    },
    "dinov2-s": {**SAVED, "name": "dinov2-s", "image_size_px": 56},
    "theia-s": {**SAVED, "name": "theia-s", "image_size_px": 64},
    "resnet34": {**SAVED, "name": "student", "norm": "group", "architecture": "resnet34", "image_size_px": None},
    "convnext": {**SAVED, "name": "student", "architecture": "timm/convnext_atto", "image_size_px": None},
    "vit": {**SAVED, "name": "student", "architecture": "timm/vit_tiny_patch16_224", "image_size_px": 64},
}


@pytest.fixture(scope="session")
def build_policy():
    """(kind of encoder, settings of the shape) -> a policy of random weights in eval mode."""

    def build(kind="resnet18-scratch", **settings):
        torch.manual_seed(0)
        sizes = {"horizon": 4, "observation_steps": 2, "action_steps": 3, "channels": (16, 32), "inference_steps": 2}
        encoder = load_encoder(kind) if kind in ("blind", "pointnet-dp3") else empty_encoder(ENCODERS[kind])
        cameras = () if encoder.reads is None else (encoder.reads,)
        policy = DiffusionPolicy(PolicyShape(9, 4, **sizes, cameras=cameras, **settings), [encoder])
        return policy.eval()

    return build
