"""The encoders of a picture: those of the benchmark by name, those of policies before and after fine-tuning."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from os.path import commonpath
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from policy_examples.augmentation import centre_crop
from policy_examples.devices import best_device
from policy_examples.encoders import EncoderName, PolicyEncoder, load_encoder
from policy_examples.explain.seeing_policies import seeing_policies
from policy_examples.formats.episodes import Selection
from policy_examples.policy import DiffusionPolicy
from policy_examples.policy_files import read_config
from policy_examples.policy_shape import PolicyShape, sides

BATCH = 32


@dataclass(frozen=True)
class Column:
    """One encoder under examination.

    Attributes:
        name: how the picture calls it.
        load: makes it, in eval mode, on the CPU.
        camera: the observation key that it reads.
        crop_px: height and width that it sees from the middle of a frame; None: whole frames.
        frame_px: height and width of the frames that it learned from; None: any.
    """

    name: str
    load: Callable[[], PolicyEncoder]
    camera: str = "image"
    crop_px: tuple[int, int] | None = None
    frame_px: tuple[int, int] | None = None

    def features(self, images: Tensor) -> np.ndarray:
        """(F, 3, H, W) uint8 -> (F, D) float32.

        Raises:
            ValueError: an encoder that cannot be had or reads no images, frames of another size than it learned from.
        """
        if self.frame_px not in (None, tuple(images.shape[-2:])):
            raise ValueError(
                f"demos: {self.name} learned from frames of {self.frame_px} px, got {tuple(images.shape[-2:])}; resize "
                "them by --selection.image-size-px, or collect them in that size."
            )
        encoder = self.load().eval()
        if encoder.reads != "image":
            raise ValueError(f"encoders: {self.name} reads {encoder.reads or 'nothing'}; name those that read images.")
        device = best_device()
        encoder.to(device)
        shown = images if self.crop_px is None else centre_crop(images, self.crop_px)
        rows = []
        with torch.inference_mode(), tqdm(total=len(shown), desc=self.name, unit="frame") as progress:
            for batch in shown.split(BATCH):
                rows.append(encoder(batch[:, None].to(device))[:, 0].float().cpu())
                progress.update(len(batch))
        return torch.cat(rows).numpy()


def columns(encoders: Sequence[str], policies: Sequence[Path], seed: int) -> list[Column]:
    """One of each encoder, two of each policy.

    Args:
        encoders: names as `load_encoder` takes them, with `=CHECKPOINT` after them where one is meant.
        policies: folders of policies or of runs, as `seeing_policies` takes them.
        seed: of encoders without weights.

    Raises:
        ValueError: no policy in a folder, none of both, two of one name.
    """
    found = [by_name(spec, seed) for spec in encoders]
    folders = seeing_policies(policies)
    for name, folder in zip(names_of(folders), folders, strict=True):
        found += before_and_after(name, folder)
    names = [column.name for column in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if not found or twice:
        got = f"{', '.join(twice)} twice" if twice else "none"
        raise ValueError(f"encoders, policies: expected one or more, each once, got {got}.")
    return found


def by_name(spec: str, seed: int) -> Column:
    """ "xdistill" or "xdistill=CHECKPOINT" -> its column."""
    name, _, checkpoint = spec.partition("=")
    title = f"{name} {Path(checkpoint).name}" if checkpoint else name
    return Column(title, partial(seeded, seed, name, checkpoint or None))


def names_of(folders: Sequence[Path]) -> list[str]:
    """Their runs, by what of the paths differs; a run's `best` keeps its name."""
    places = [(folder.parent if folder.name == "policy" else folder).resolve() for folder in folders]
    return [place.relative_to(commonpath([other.parent for other in places])).as_posix() for place in places]


def before_and_after(name: str, folder: Path) -> list[Column]:
    """What a policy's first encoder was before it was fine-tuned, and what it is afterwards."""
    config = read_config(folder)
    saved, shape, origin = config["encoders"][0], PolicyShape.from_dict(config["shape"]), config["origin"]
    frame_px = shape.frames_px[0] if shape.frames_px else None
    if frame_px is None and (side := origin.get("image_size_px")):
        frame_px = (side, side)
    crop_px = None if shape.crop_px is None else sides(shape.crop_px)
    seen: dict[str, Any] = {"camera": shape.cameras[0], "crop_px": crop_px, "frame_px": frame_px}
    shown = "" if shape.cameras[0] == "image" else f", {shape.cameras[0]}"  # where it differs from the named encoders'
    shown += "" if crop_px is None else f", middle {crop_px[0]} x {crop_px[1]} px"
    return [
        Column(f"{name}, before{shown}", partial(encoder_before, folder, saved, origin), **seen),
        Column(f"{name}, after{shown}", partial(encoder_after, folder), **seen),
    ]


def encoder_before(folder: Path, saved: dict[str, Any], origin: dict[str, Any]) -> PolicyEncoder:
    """The encoder from which a policy's fine-tuning started; a random one is drawn again from the run's seed."""
    seed = 0 if saved["origin"] is not None else seed_of(folder)
    settings = {key: saved[key] for key in ("norm", "readout", "image_size_px")}
    encoder = seeded(seed, saved["name"], origin.get("checkpoint"), **settings)
    if encoder.saved["origin"] != saved["origin"]:
        raise ValueError(
            f"policies: {folder} started from {saved['origin']!r}, its checkpoint holds {encoder.saved['origin']!r} "
            "now, so that what it was before fine-tuning cannot be shown."
        )
    then, now = (each.get("weights_sha256") for each in (saved, encoder.saved))
    if then and now and then != now:
        raise ValueError(
            f"policies: {folder} started from {saved['origin']!r} with sha256 {then[:12]}..., whose weights are others "
            f"now, {now[:12]}..., so that what it was before fine-tuning cannot be shown."
        )
    return encoder


def seed_of(folder: Path) -> int:
    """The seed of the run that a policy's folder lies in.

    Raises:
        ValueError: the run's config.json is not beside it.
    """
    try:
        return int(run_config(folder)["seed"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"policies: {folder} started from random weights, whose seed is in the run's config.json beside it, which "
            f"cannot be read ({error!r}); copy the whole run, as `xdistill finetune` wrote it."
        ) from error


def demonstrations_of(policies: Sequence[Path]) -> tuple[tuple[Path, Selection], ...]:
    """Where the runs of policies read their demonstrations, and what of them, each once.

    Raises:
        ValueError: no policy in a folder, a run's config.json is not beside its policy, or runs of one task learned
            from different demonstrations.
    """
    found: dict[tuple[Path, Selection], str] = {}
    for folder in seeing_policies(policies):
        try:
            config = run_config(folder)
            named: dict[str, Any] = config.get("selection", {})
            named = {name: tuple(value) if isinstance(value, list) else value for name, value in named.items()}
            selection = Selection(**named)
            found[Path(config["demos"]), selection] = str(read_config(folder)["origin"].get("task", config["demos"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"demos: those of {folder} are named in the run's config.json beside it, which cannot be read "
                f"({error!r}); name them with --demos."
            ) from error
    for task in found.values():
        stores = [str(path) for (path, _), of in found.items() if of == task]
        if len(stores) > 1:
            raise ValueError(
                f"demos: the policies of {task} learned from different demonstrations, {', '.join(stores)}; name those "
                "to look at with --demos."
            )
    return tuple(found)


def require_own(policies: Sequence[Path], facts: Sequence[Mapping[str, Any]]) -> None:
    """Raise a ValueError where a policy learned from others than the demonstrations that lie at its place now.

    Args:
        facts: of the demonstrations that were opened, with their "demos" and "origin".
    """
    for folder in seeing_policies(policies):
        learned = read_config(folder)["origin"]
        theirs = {name: learned.get(name) for name in ("task", "seeds")}
        if all({name: fact["origin"].get(name) for name in theirs} != theirs for fact in facts):
            raise ValueError(
                f"demos: {', '.join(fact['demos'] for fact in facts)} are not what {folder} learned from (task "
                f"{theirs['task']}, seeds {theirs['seeds']}); name demonstrations with --demos."
            )


def learned_from(policies: Sequence[Path], facts: Sequence[Mapping[str, Any]]) -> list[str]:
    """The policies that learned from some of these demonstrations, by task and placement seeds."""
    found = []
    for folder in seeing_policies(policies):
        learned = read_config(folder)["origin"]
        seeds = set(learned.get("seeds", []))
        shown = [fact["origin"] for fact in facts if fact["origin"].get("task") == learned.get("task")]
        if any(seeds & set(origin.get("seeds", [])) for origin in shown):
            found.append(str(folder))
    return found


def run_config(folder: Path) -> dict[str, Any]:
    """The configuration of the run that a policy's folder lies in."""
    return json.loads((folder.resolve().parent / "config.json").read_text())["config"]


def encoder_after(folder: Path) -> PolicyEncoder:
    """The first encoder of a policy."""
    return DiffusionPolicy.load(folder)[0].encoder_of(0)


def seeded(seed: int, name: str, checkpoint: str | None, **settings: Any) -> PolicyEncoder:
    """An encoder by its name, random weights drawn as a run of this seed draws them."""
    torch.manual_seed(seed)
    return load_encoder(cast(EncoderName, name), checkpoint, **settings, allow_batch_norm=True)
