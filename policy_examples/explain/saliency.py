"""Shows where in its image a trained policy looks: `xdistill explain saliency`."""

import json
import platform
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import tyro
from tqdm import tqdm

from policy_examples import rollout
from policy_examples.demos import FIRST_EVALUATION_SEED
from policy_examples.devices import best_device
from policy_examples.envs.camera import RenderingError
from policy_examples.envs.shifts import ShiftName
from policy_examples.explain.attribution.focus import Focus, focus_of, summarize, write_csv
from policy_examples.explain.attribution.gradients import Method, Target, saliency_maps
from policy_examples.explain.attribution.pictures import draw_course, draw_strip, film
from policy_examples.explain.attribution.recording import Recording, moment, record_demonstration, record_episode
from policy_examples.explain.attribution.subjects import Subject, find_subjects
from policy_examples.formats.episodes import Selection, require_same_order
from policy_examples.playing import few_threads
from policy_examples.store import require_free
from policy_examples.video import require_video_writer
from xdistill_encoder.provenance import command, commit

PACKAGES = ("torch", "torchvision", "diffusers", "timm", "mujoco", "metaworld", "gymnasium-robotics")
ASSUMED_FPS = 20
"""Actions a second of demonstrations that do not say theirs."""


@dataclass(frozen=True)
class Config:
    """Which policies to explain, on which frames."""

    policies: tuple[Path, ...] = (Path("run"),)
    """Policies, or folders of runs that hold such (of `xdistill finetune`, of a benchmark); all of one task."""
    output: Path = Path("saliency")
    """Folder of strip.png, over_time.png, saliency.mp4, saliency.csv, summary.json; the film runs in real time, at 20
    actions a second where demonstrations do not say theirs."""
    methods: tuple[Method, ...] = ("grad-cam", "input-gradient")
    """grad-cam: where in the encoder's last map; input-gradient: which pixels."""
    target: Literal["action", "loss"] = "action"
    """Of the gradient: `action`, the size of what the policy would do; `loss`, the denoising loss of the episode's
    actions, which says little where the policy agrees with them. Maps show what moves it, either way."""
    action_dimension: int | None = None
    """For `action`: one dimension, such as 2 for MetaWorld's z; None sums over all."""
    noises: int = 4
    """Noise samples that the target is a mean over; the same at each frame, for each policy."""
    seed: int | None = None
    """Placement seed of the episode, which the first policy plays; None: the first one of evaluation."""
    shift: ShiftName | None = None
    """What differs in it from the demonstrations' scene; None is nothing."""
    demos: Path | None = None
    """Take the frames of demonstrations instead, in any format that `xdistill finetune` reads."""
    selection: Selection = field(default_factory=Selection)
    """Which cameras and arrays of --demos to read."""
    episode: int | None = None
    """Which of the demonstrations; None: the first."""
    camera: str | None = None
    """Whose frames are explained, such as image_wrist, where policies read several, for which demonstrations are
    needed; None: the first that the first policy reads."""
    masks: bool = True
    """Measure the share on task objects, by the simulator; other people's demonstrations have no masks."""
    every: int = 4
    """Actions from one explained frame to the next."""
    columns: int = 8
    """Frames in strip.png."""

    def __post_init__(self) -> None:
        for name in ("policies", "methods"):
            if not getattr(self, name):
                raise ValueError(f"{name}: expected one or more, got none.")
        for name in ("every", "columns"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected 1 or more, got {getattr(self, name)}.")
        if self.demos is not None and (self.seed, self.shift) != (None, None):
            raise ValueError("seed, shift: they are of an episode that is played; leave them out beside --demos.")
        if self.demos is None and (self.episode is not None or self.selection != Selection()):
            raise ValueError("episode, selection: they are of demonstrations; name these with --demos.")


def run(config: Config) -> list[Focus]:
    """Explain every policy on the same frames, write the folder, whole or not at all; returns the numbers of all maps.

    Raises:
        ValueError: no policy there, one that reads no image, policies, cameras or demonstrations that do not fit
            together, an output folder that exists.
        OSError: the output folder cannot be written.
        RenderingError: this machine cannot render without a window.
    """
    require_free(config.output)
    require_video_writer()  # which the last step needs
    folder = config.output.with_name(f".{config.output.name}.partial")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        rows = write(config, folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    folder.rename(config.output)
    return rows


def write(config: Config, folder: Path) -> list[Focus]:
    """As `run`, into a folder that is there."""
    target = Target(config.target, config.action_dimension, config.noises)
    device = best_device()
    subjects = find_subjects(config.policies)
    camera = config.camera or subjects[0].cameras[0]
    if config.masks and camera != "image":
        raise ValueError(f"masks: they are of the simulator's camera 'image', got camera {camera!r}; add --no-masks.")
    recording = frames_of(config, subjects[0], device)
    for subject in subjects:
        require_fitting(subject, recording, target, camera)
    steps = list(range(0, len(recording.actions), config.every))
    maps = explain(subjects, recording, target, config.methods, steps, camera, device)

    masks = None if recording.masks is None else recording.masks[steps]
    crops = {subject.label: subject.crop_px for subject in subjects}
    rows = [
        focus_of(step, method, encoder, values[index], None if masks is None else masks[index], crops[encoder])
        for (method, encoder), values in maps.items()
        for index, step in enumerate(steps)
    ]
    frames = recording.cameras[camera][steps]
    of = target.of if target.dimension is None else f"{target.of} {target.dimension}"
    where = "" if camera == "image" else f", camera {camera}"
    title = f"{recording.source}{where}; saliency of {of}, each map relative to its own brightest"
    draw_strip(frames, masks, maps, rows, steps, title, folder / "strip.png", config.columns)
    draw_course(rows, folder / "over_time.png")
    fps = recording.actions_per_second or ASSUMED_FPS
    film(frames, masks, maps, steps, config.every, fps, folder / "saliency.mp4")
    write_csv(rows, folder / "saliency.csv")
    write_summary(config, folder, subjects, recording, rows)
    return rows


def frames_of(config: Config, first: Subject, device: torch.device) -> Recording:
    """The demonstration that was named, else the episode that the first policy plays; raises ValueError as `run`."""
    if config.demos is not None:
        return record_demonstration(config.demos, config.selection, config.episode or 0, config.masks)
    if first.origin.get("task") is None:
        raise ValueError(
            f"policies: {first.folder} does not say which task it learned, so that no episode of it can be played; "
            "show it frames of demonstrations with --demos."
        )
    if first.cameras != ("image",):
        raise ValueError(
            f"policies: {first.folder} reads {', '.join(first.cameras)}, the simulator shows the camera 'image' alone; "
            "show it frames of demonstrations with --demos."
        )
    policy = first.load(device)
    task = rollout.task_of(rollout.Config(shift=config.shift), policy, first.origin)
    seed = FIRST_EVALUATION_SEED if config.seed is None else config.seed
    return record_episode(policy, task, seed, config.masks)


def require_fitting(subject: Subject, recording: Recording, target: Target, camera: str) -> None:
    """Raise a ValueError where a policy learned from other cameras or sizes than the frames have."""
    if camera not in subject.cameras:
        raise ValueError(
            f"camera: expected one that every policy reads, got {camera!r}; the one in {subject.folder} reads "
            f"{', '.join(subject.cameras)}."
        )
    if lacking := [name for name in subject.cameras if name not in recording.cameras]:
        raise ValueError(
            f"policies: {subject.folder} reads {', '.join(subject.cameras)}, {recording.source} lacks "
            f"{', '.join(lacking)}; show it frames of its own demonstrations with --demos, --selection.cameras."
        )
    require_same_order(subject.origin, recording.origin, subject.cameras)
    learned = {"agent_pos": subject.state_size, "action": subject.action_size}
    shown = {"agent_pos": recording.agent_pos.shape[1], "action": recording.actions.shape[1]}
    if (size_px := subject.origin.get("image_size_px")) is not None:
        learned["image_size_px"], shown["image_size_px"] = size_px, recording.images.shape[1]
    if learned != shown:
        raise ValueError(
            f"policies: {subject.folder} learned from {learned}, the frames of {recording.source} have {shown}; "
            "explain policies of one size together."
        )
    if target.dimension is not None and target.dimension >= subject.action_size:
        raise ValueError(
            f"action_dimension: expected 0 to {subject.action_size - 1}, what an action of {subject.folder} has, "
            f"got {target.dimension}."
        )


def explain(
    subjects: Sequence[Subject],
    recording: Recording,
    target: Target,
    methods: tuple[Method, ...],
    steps: Sequence[int],
    camera: str,
    device: torch.device,
) -> dict[tuple[str, str], np.ndarray]:
    """(method, label of the policy) -> its maps of the frames at these steps, (steps, H, W) float32."""
    maps: dict[tuple[str, str], list[np.ndarray]] = {
        (method, subject.label): [] for method in methods for subject in subjects
    }
    with few_threads(1), tqdm(total=len(subjects) * len(steps), desc="saliency", unit="frame") as progress:
        for subject in subjects:
            policy = subject.load(device)
            for step in steps:
                seen = moment(recording, policy, step)
                for method, values in saliency_maps(policy, seen, target, methods, camera).items():
                    maps[method, subject.label].append(values)
                progress.update()
    return {key: np.stack(values) for key, values in maps.items()}


def write_summary(
    config: Config, folder: Path, subjects: Sequence[Subject], recording: Recording, rows: Sequence[Focus]
) -> None:
    """summary.json: means over the episode, with everything that decided them."""
    summary = {
        "frames": recording.source,
        "means": [asdict(line) for line in summarize(rows)],
        "policies": {
            subject.label: {"folder": str(subject.folder), "fingerprint": rollout.fingerprint(subject.folder)}
            for subject in subjects
        },
        "config": asdict(config),
        "command": command(),
        "commit": commit(Path(__file__)),
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := installed(name)) is not None},
    }
    (folder / "summary.json").write_text(json.dumps(summary, indent=2, default=str) + "\n")


def installed(package: str) -> str | None:
    """Its version, None where it is missing."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def main() -> None:
    """`xdistill explain saliency`."""
    try:
        config = tyro.cli(Config, prog="xdistill explain saliency", description="Show where a policy looks.")
        rows = run(config)
    except (ValueError, OSError, RenderingError) as error:
        raise SystemExit(f"xdistill explain saliency: {error}") from error
    print(*summarize(rows), sep="\n")
    print(f"pictures, film, numbers: {config.output}")


if __name__ == "__main__":
    main()
