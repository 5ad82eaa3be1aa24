"""Says what a run lacks for a full report, with the command that makes it."""

import shlex
from dataclasses import dataclass

from policy_examples.explain.reporting.explanations import Explanations
from policy_examples.explain.reporting.runs import Run

READ_NO_IMAGE = ("blind", "pointnet-dp3")
"""Encoders whose policies look at no picture."""
SCORED_AS = {
    "resnet18-scratch": "random",
    "resnet18-imagenet": "timm/resnet18.tv_in1k",
    "dinov2-s": "timm/vit_small_patch14_dinov2.lvd142m",
}
"""Encoder -> its name for `xdistill scorecard`, which has none for those that are neither here nor checkpoints."""


@dataclass(frozen=True)
class Missing:
    """What is not there, and how it comes to be there."""

    what: str
    how: str
    """A command, or where there is none a sentence."""


def missing_of(run: Run, explained: Explanations) -> list[Missing]:
    """What a report could show of this run but does not find, the important first."""
    trained = run.kind != "rollout"
    found = []
    if trained and not run.settings:
        found.append(Missing("configuration and provenance (config.json)", "xdistill finetune writes it as it starts"))
    if trained and not run.losses:
        found.append(Missing("learning curve (log.jsonl)", "xdistill finetune writes it while it learns"))
    if trained and not run.finished:
        again = run.described.get("command") or run.settings.get("command") or "xdistill finetune ..."
        found.append(Missing("policy (policy/config.json): training has not ended, or it was not kept", again))
    if not run.successes:
        found.append(Missing("success rate (episodes.jsonl or evaluations.jsonl)", rollout_command(run)))
    if not run.films:
        found.append(Missing("videos (success.mp4, failure.mp4)", rollout_command(run)))
    if trained and run.encoder not in READ_NO_IMAGE and not explained.saliency:
        found.append(Missing("saliency (strip.png)", explain_command("saliency", run)))
    if trained and run.encoder not in READ_NO_IMAGE and not explained.embeddings:
        found.append(Missing("embedding (embedding.png)", explain_command("embedding", run)))
    if trained and not explained.scorecards and (scored := scorecard_command(run)):
        found.append(Missing("scorecard of the encoder that it started from (scorecard.json)", scored))
    return found


def scorecard_command(run: Run) -> str | None:
    """Scores what the run started from, into its folder; None of an encoder that the scorecard does not know."""
    checkpoint = run.config.get("checkpoint")
    if run.encoder not in ("xdistill", "student", *SCORED_AS):
        return None
    spec = SCORED_AS.get(run.encoder, checkpoint)
    encoder = ["--encoder", str(spec)] if spec else []
    images = ["--bank", "IMAGES", "--queries", "IMAGES"]
    return shlex.join(["xdistill", "scorecard", *images, *encoder, "--output", str(run.folder / "scorecard.json")])


def rollout_command(run: Run) -> str:
    """Plays and films the run's policy, where there is a simulator of its task; a rollout is repeated by its own."""
    if run.kind != "rollout" and run.policy and not run.origin.get("task"):
        return "no command: nothing says which simulated task the demonstrations are of; film your robot"
    if run.kind == "rollout":
        return shlex.join(["xdistill", "rollout", "--policy", "POLICY", "--output", str(run.folder)])
    output = run.folder / "rollout"
    return shlex.join(["xdistill", "rollout", "--policy", str(run.policy_folder), "--output", str(output)])


def explain_command(kind: str, run: Run) -> str:
    """Explains the run's policy into its folder, where a report finds it."""
    stages = ["--stages", "time"] if kind == "embedding" and run.origin.get("env") != "metaworld" else []
    policies = ["--policies", str(run.policy_folder)]
    frames = demonstrations(run) if kind == "saliency" else []
    return shlex.join(["xdistill", "explain", kind, *policies, *stages, *frames, "--output", str(run.folder / kind)])


def demonstrations(run: Run) -> list[str]:
    """Options for the frames that it learned from, where no simulator can show others: no task, or other cameras."""
    cameras = run.policy.get("shape", {}).get("cameras", ["image"])
    if not (run.config and run.policy) or (run.origin.get("task") and list(cameras) == ["image"]):
        return []
    options = ["--demos", str(run.config["demos"])]
    for name, value in run.config.get("selection", {}).items():
        if value:
            values = value if isinstance(value, list) else [value]
            options += [f"--selection.{name.replace('_', '-')}", *map(str, values)]
    return [*options, "--no-masks"]
