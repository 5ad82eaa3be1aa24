"""Folders of runs as the commands leave them, in fractions of a second."""

import csv
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from policy_examples import rollout, train
from policy_examples.benchmarking import runfiles, runs
from policy_examples.benchmarking.results import append_rows
from policy_examples.playing import PlayedEpisode
from policy_examples.policy_files import write_policy
from policy_examples.training.progress import Log
from policy_examples.training.settings import write_settings
from policy_examples.video import write_video
from tests.policy_examples.benchmarking.rows import row

FIRST_SEED = 1_000_000
ORIGIN = {"env": "metaworld", "task": "drawer-open", "render": "fast", "image_size_px": 96, "seeds": list(range(10))}
FACTS = {"policy": "0123456789abcdef", "task": "drawer-open", "image_size_px": 96, "render": "fast", "points": None}
"""Of the episodes that a policy plays."""


def finetuned(folder: Path, *, task="drawer-open", encoder="xdistill", seed=0, solved=(3, 17), episodes=20) -> Path:
    """A finished run; `solved` of each evaluation, one every 100 steps."""
    folder.mkdir(parents=True)
    steps = 100 * max(1, len(solved))
    config = replace(
        train.PRESETS["cpu"], demos=folder / "d.zarr", output=folder, encoder=encoder, seed=seed, steps=steps
    )
    write_settings(folder / "config.json", asdict(config))
    log = Log(folder / "log.jsonl", 0, steps, True)
    for step in range(10, steps + 1, 10):
        log.write(step, step / 50, 0.3 / step, 3e-4)
    log.close()
    lines = []
    for number, count in enumerate(solved, 1):
        write_episodes(folder / f"episodes-{100 * number}.jsonl", count, episodes)
        lines.append({"step": 100 * number, "epoch": 2.0, "success": count / episodes, "episodes": episodes})
    if lines:
        (folder / "evaluations.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    origin = {**ORIGIN, "task": task, "encoder": encoder, "checkpoint": None, "step": steps}
    shape = {"horizon": 8, "observation_steps": 2, "action_steps": 6}
    write_policy(folder / "policy", {"shape": shape, "encoders": [], "origin": origin}, {"weight": torch.zeros(1)})
    return folder


def demo(folder: Path, solved=17, episodes=20) -> Path:
    """What `xdistill demo` leaves."""
    finetuned(folder, solved=())
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, "command": "xdistill demo"}))
    facts = {**FACTS, "policy": rollout.fingerprint(folder / "policy"), "shift": None, "seed": FIRST_SEED}
    rollout.played_before(folder, facts)
    write_episodes(folder / "episodes.jsonl", solved, episodes)
    for name in ("success", "failure"):
        filmed(folder / f"{name}.mp4")
    return folder


def benchmarked(output: Path, *, encoder="xdistill", seed=0, solved=(3, 17)) -> Path:
    """A finished run of `xdistill benchmark`, with one shift."""
    run = runs.Run("drawer-open", runs.EncoderChoice(encoder), seed, "cpu")
    folder = finetuned(run.folder(output), encoder=encoder, seed=seed, solved=solved)
    runfiles.write_run(run, folder)
    plain = row(encoder, "drawer-open", seed, max(solved) / 20, command=run.command())
    append_rows(folder / "rows.csv", [plain, replace(plain, shift="camera", last=0.25, command=run.command("camera"))])
    write_episodes(folder / "episodes-camera.jsonl", 5, 20)
    return folder


def rolled_out(folder: Path, *, policy: Path | None = None, shift=None, solved=9, episodes=20, task=None) -> Path:
    """What `xdistill rollout` of a policy leaves."""
    facts = {**FACTS, "shift": shift, "seed": FIRST_SEED, "episodes": episodes}
    facts |= {} if policy is None else {"policy": rollout.fingerprint(policy)}
    rollout.played_before(folder, facts | ({} if task is None else {"task": task}))
    write_episodes(folder / "episodes.jsonl", solved, episodes)
    return folder


def write_episodes(path: Path, solved: int, episodes: int) -> None:
    """The last ones failed."""
    played = [PlayedEpisode(FIRST_SEED + place, place < solved, 90) for place in range(episodes)]
    path.write_text("".join(json.dumps(asdict(episode)) + "\n" for episode in played))


def filmed(path: Path, frames: int = 12) -> Path:
    """A video in which a bright square moves from left to right."""
    shown = np.full((frames, 64, 64, 3), 60, np.uint8)
    for number, frame in enumerate(shown):
        frame[24:40, 48 * number // max(1, frames - 1) :][:, :16] = (230, 160, 40)
    write_video(list(shown), path, fps=40)
    return path


def saliency(folder: Path) -> Path:
    """What `xdistill explain saliency` leaves."""
    folder.mkdir(parents=True)
    Image.new("RGB", (640, 160), (20, 90, 160)).save(folder / "strip.png")
    Image.new("RGB", (400, 160), (160, 90, 20)).save(folder / "over_time.png")
    filmed(folder / "saliency.mp4")
    lines = [
        {
            "step": step,
            "method": "grad-cam",
            "encoder": "drawer",
            "share": 0.2 + step / 100,
            "area": 0.05,
            "entropy": 0.8,
        }
        for step in range(0, 40, 4)
    ]
    write_csv(folder / "saliency.csv", lines)
    mean = {"method": "grad-cam", "encoder": "drawer", "share": 0.38, "area": 0.05, "lift": 7.6, "entropy": 0.8}
    summary = {
        "frames": "drawer-open, seed 1000000",
        "means": [{**mean, "steps": 10, "blank": 0}],
        "config": {"every": 4},
    }
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def embedding(folder: Path) -> Path:
    """What `xdistill explain embedding` leaves."""
    folder.mkdir(parents=True)
    Image.new("RGB", (800, 700), (240, 240, 240)).save(folder / "embedding.png")
    scores = {"silhouette": 0.4321, "low": 0.4, "high": 0.46, "frames": 300, "episodes": 10, "stages": 3}
    write_csv(folder / "embedding.csv", [{"encoder": "xdistill", "method": "features", **scores}])
    (folder / "summary.json").write_text(json.dumps({"config": {"parts": 3}}))
    return folder


def write_csv(path: Path, lines: list[dict]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
