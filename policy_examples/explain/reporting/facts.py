"""Says in few words what a run was: encoder, demonstrations, length, seed."""

from statistics import median_high
from typing import Any

from policy_examples.envs.published import PUBLISHED
from policy_examples.explain.reporting.runs import Run

MAIN_PACKAGES = (
    "xdistill-encoder", "torch", "torchvision", "diffusers", "accelerate", "transformers", "timm", "numpy", "zarr",
    "metaworld", "gymnasium-robotics", "mujoco",
)  # fmt: skip
"""Those on which a policy's numbers depend most."""


def encoder_label(run: Run) -> str:
    """The encoder with what makes it another than its default: "xdistill (my-checkpoint, norm group)"."""
    changed = [run.config.get("checkpoint") or run.origin.get("checkpoint")]
    changed.append(f"norm {norm}" if (norm := run.config.get("norm")) else None)
    changed.append(readout if (readout := run.config.get("readout", "pooled")) != "pooled" else None)
    changed.append("frozen weights" if run.config.get("freeze_encoder") else None)
    said = ", ".join(str(part) for part in changed if part)
    return f"{run.encoder} ({said})" if said else run.encoder


def steps_of(run: Run) -> int | None:
    """Optimizer steps that were taken; None where nothing says it."""
    logged = [line.get("step") for line in (run.origin, *run.losses[-1:], *run.evaluations[-1:])]
    return max((step for step in logged if step is not None), default=None)


def demonstrations_of(run: Run) -> int | None:
    """How many the policy learned from; None where nothing says it."""
    if run.row is not None:
        return run.row.demonstrations
    return len(run.origin.get("seeds") or ()) or None


def training_seed(run: Run) -> int | None:
    return run.config.get("seed")


def few_facts(run: Run) -> list[tuple[str, object]]:
    """What to know of a run at a glance; what nothing says is left out."""
    shape, facts = run.policy.get("shape", {}), run.described
    chunk = [shape.get(name) for name in ("horizon", "observation_steps", "action_steps")]
    steps = steps_of(run)
    speeds = [line["steps_per_second"] for line in run.losses if "steps_per_second" in line]
    pairs: list[tuple[str, object]] = [
        ("made by", f"xdistill {run.kind}"),
        ("task", run.task),
        ("difficulty", PUBLISHED[run.task].difficulty if run.task in PUBLISHED else ""),
        ("encoder", encoder_label(run)),
        ("demonstrations", demonstrations_of(run)),
        ("optimizer steps", None if steps is None else f"{steps:,}"),
        ("training seed", training_seed(run)),
        ("T / To / Ta", " / ".join(map(str, chunk)) if all(chunk) else ""),
        ("frames", f"{px} px" if (px := facts.get("image_size_px") or run.origin.get("image_size_px")) else ""),
        ("rendering", facts.get("render") or run.origin.get("render")),
        ("shift", facts.get("shift")),
        ("training speed", f"{median_high(speeds):.2f} steps/s" if speeds else ""),
    ]
    if run.row is not None:
        latency = run.row.ms_per_frame
        pairs += [
            ("time", f"{run.row.minutes:.1f} minutes"),
            ("encoder's parameters", f"{run.row.parameters / 1e6:.2f} million"),
            ("encoder's latency", "" if latency is None else f"{latency:.1f} ms a frame"),
        ]
    return [(name, value) for name, value in pairs if value not in (None, "")]


def settings_of(run: Run) -> dict[str, str]:
    """Every setting of its configuration by its dotted name, as text."""
    return flatten(run.config or run.described)


def flatten(values: dict[str, Any], before: str = "") -> dict[str, str]:
    """{"a": {"b": 1}} -> {"a.b": "1"}; a list in a line, None as "none"."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{before}{name}.")
        elif isinstance(value, list):
            flat[f"{before}{name}"] = ", ".join(map(str, value)) if value else "none"
        else:
            flat[f"{before}{name}"] = "none" if value is None else str(value)
    return flat
