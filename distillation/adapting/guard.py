"""The way from old weights to new ones, and how far along it nothing is forgotten.

Weights between both ends of a fine-tuning work, and remember more than its end (Wortsman et al., arXiv 2109.01903).
"""

from collections.abc import Mapping

from xdistill_encoder import XDistillResNet18

SHARES = (1.0, 0.75, 0.5, 0.25, 0.125)
"""How far the result may lie from the old weights to the adapted ones."""
WATCHED = "teacher_explained_variance"
ALSO_KEPT = "teacher_cosine"
"""Of an encoder whose loss left the length of its estimates free the explained variance rises with their length alone,
however much of their direction is forgotten."""


def between(old: XDistillResNet18, new: XDistillResNet18, share: float) -> XDistillResNet18:
    """The encoder at a share of the way from the old weights, 0, to the new ones, 1; norm statistics with them."""
    assert old.teacher_head is not None
    encoder = XDistillResNet18(old.norm, teacher_features=old.teacher_head.out_features)
    ends = old.state_dict(), new.state_dict()
    state = {
        key: tensor.lerp(ends[1][key], share) if tensor.is_floating_point() else ends[1][key]
        for key, tensor in ends[0].items()
    }
    encoder.load_state_dict(state)
    return encoder.eval()


def choose(measured: Mapping[str, Mapping[str, Mapping[str, float]]], max_forgotten: float) -> float:
    """The largest share of the way at which general images are remembered and the frames gain.

    Args:
        measured: "frames", and where the guard watches "general", -> share of the way -> agreement with the teachers.

    Raises:
        ValueError: there is none; says what the frames gain and what is forgotten.
    """
    gains, losses = {}, {}
    for share in SHARES:
        gains[share] = measured["frames"][f"{share:g}"][WATCHED] - measured["frames"]["0"][WATCHED]
        general = measured.get("general")
        there, here = (general["0"], general[f"{share:g}"]) if general else ({}, {})
        losses[share] = max((there[score] - here[score] for score in (WATCHED, ALSO_KEPT) if there), default=0.0)
        if losses[share] <= max_forgotten and gains[share] > 0:
            return share
    told = "; ".join(
        f"{share:g} of the way: gain {gains[share]:+.4f}, forgotten {losses[share]:.4f}" for share in SHARES
    )
    raise ValueError(
        f"frames: no point between old and new weights explains more of the teacher on them and forgets at most "
        f"{max_forgotten:g} of general images ({told}); give more frames or general images, or a lower --lr. The old "
        "encoder is the better one"
    )
