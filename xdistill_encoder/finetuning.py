"""Which stages of the encoder learn, at which rate."""

import math
from collections.abc import Iterator, Sequence
from numbers import Real
from typing import Any

from torch import nn

TRUNK_STAGES = ("stem", "layer1", "layer2", "layer3", "layer4")
STAGES = (*TRUNK_STAGES, "teacher_head")
NO_DECAY_NDIM = 1  # biases and norm parameters are vectors


def named_stages(names: Sequence[str], present: tuple[str, ...]) -> tuple[str, ...]:
    """Names of stages, "trunk" among them -> the stages; raises ValueError for no name or an unknown one.

    No name is no way to say all of them: a list of stages that a configuration leaves empty would freeze an encoder.
    """
    accepted = f"trunk (all of {', '.join(TRUNK_STAGES)}), or one or more of {', '.join(present)}"
    if isinstance(names, str):
        raise ValueError(f"stage: expected a list of names, got the text {names!r}; write [{names!r}]")
    if not names:
        raise ValueError(f"stage: expected {accepted}, got none")
    for name in names:
        if name not in ("trunk", *present):
            raise ValueError(f"stage: expected {accepted}, got {name!r}")
    return tuple(stage for stage in present if stage in names or ("trunk" in names and stage in TRUNK_STAGES))


def check_factors(lr: float, backbone_multiplier: float, layer_decay: float, weight_decay: float | None) -> None:
    """Refuse rates that no optimizer should see, NaN included; raises ValueError."""
    given = {"lr": lr, "backbone_multiplier": backbone_multiplier, "layer_decay": layer_decay}
    for name, factor in (given | {"weight_decay": 0.0 if weight_decay is None else weight_decay}).items():
        if not isinstance(factor, Real):
            hint = "; YAML reads 1e-4 as text, and 1.0e-4 as a number" if isinstance(factor, str) else ""
            raise ValueError(f"{name}: expected a number, got {factor!r}{hint}")
    for name, factor in given.items():
        if not 0 < factor < math.inf:
            raise ValueError(f"{name}: expected a number above 0, got {factor}; freeze() stops a stage from learning")
    if layer_decay > 1:
        raise ValueError(f"layer_decay: expected at most 1, so that lower stages learn slower, got {layer_decay}")
    if weight_decay is not None and not 0 <= weight_decay < math.inf:
        raise ValueError(f"weight_decay: expected 0 or more, or None, got {weight_decay}")


def stage_modules(trunk: nn.Module, teacher_head: nn.Module | None, stage: str) -> list[nn.Module]:
    """The modules of one stage: the stem is conv1 with bn1, the other names are torchvision's or the head's."""
    if stage == "teacher_head":
        return [] if teacher_head is None else [teacher_head]
    names = ("conv1", "bn1") if stage == "stem" else (stage,)
    return [trunk.get_submodule(name) for name in names]


def stage_param_groups(
    stages: Iterator[tuple[str, list[nn.Module]]],
    lr: float,
    backbone_multiplier: float,
    layer_decay: float,
    weight_decay: float | None,
) -> list[dict[str, Any]]:
    """Trainable parameters as optimizer groups, two a stage: matrices with weight decay, vectors without.

    The learning rate of a stage is lr * backbone_multiplier * layer_decay ** (stages above it up to layer4).
    The teacher head, where it is trainable, is a new layer and takes lr itself.
    """
    groups: list[dict[str, Any]] = []
    for stage, modules in stages:
        head = stage == "teacher_head"
        depth = STAGES.index("layer4") - STAGES.index(stage)
        stage_lr = lr if head else lr * backbone_multiplier * layer_decay**depth
        parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
        for decays in (True, False):
            members = [p for p in parameters if (p.ndim > NO_DECAY_NDIM) == decays]
            if members:
                group = {"name": stage, "params": members, "lr": stage_lr}
                decay = weight_decay if decays else 0.0
                groups.append(group if decay is None else group | {"weight_decay": decay})
    return groups
