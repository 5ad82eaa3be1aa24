"""Reads what a run left in its folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from os.path import commonpath
from pathlib import Path
from typing import Any, Literal

from policy_examples.benchmarking.results import Row, read_rows
from policy_examples.explain.reporting.jsonfiles import read_lines, read_object
from policy_examples.explain.reporting.played import read_successes
from policy_examples.explain.reporting.successes import Success

Kind = Literal["finetune", "benchmark", "rollout", "demo"]
"""The command that made a run."""
MAKERS = "`xdistill finetune`, `xdistill benchmark`, `xdistill rollout` and `xdistill demo` write such folders"


@dataclass(frozen=True)
class Run:
    """A folder of `xdistill finetune`, `benchmark`, `rollout` or `demo`; what it lacks is empty."""

    folder: Path
    name: str
    """What tells it from the other runs of a report."""
    kind: Kind
    settings: dict[str, Any]
    """config.json: {"config", "command", "commit", "packages"}."""
    described: dict[str, Any]
    """run.json of a benchmark, rollout.json of a rollout."""
    policy: dict[str, Any]
    """config.json of its policy, or while it trains of the best one so far: {"shape", "encoders", "origin"}."""
    finished: bool
    """It has the policy of its last step."""
    row: Row | None
    """Of a benchmark's finished run."""
    losses: list[dict[str, Any]]
    """log.jsonl: {"step", "loss"} at least."""
    evaluations: list[dict[str, Any]]
    """evaluations.jsonl: {"step", "success", "episodes"} at least."""
    successes: list[Success]
    """The finished policy's first, then evaluations, then shifts, then what other policies or tasks came to."""
    films: list[Path]

    @property
    def policy_folder(self) -> Path:
        """Of the policy that commands can take."""
        return self.folder / ("best" if self.policy and not self.finished else "policy")

    @property
    def config(self) -> dict[str, Any]:
        return self.settings.get("config", {})

    @property
    def origin(self) -> dict[str, Any]:
        return self.policy.get("origin", {})

    @property
    def task(self) -> str:
        """Empty where nothing says it."""
        found = self.described.get("task") or self.described.get("run", {}).get("task") or self.origin.get("task")
        return str(found or "")

    @property
    def encoder(self) -> str:
        """Empty where nothing says it, as in the folder of a rollout."""
        return str(self.config.get("encoder") or self.origin.get("encoder") or "")

    @property
    def headline(self) -> Success | None:
        """The number that no selection made higher, in the demonstrations' scene where there is one."""
        plain = [success for success in self.successes if not (success.selected or success.aside)]
        return next((success for success in plain if not success.shift), plain[0] if plain else None)

    @property
    def best(self) -> Success | None:
        """The paper's number: the best evaluation while training."""
        return next((success for success in self.successes if success.selected), None)


def read_runs(folders: Sequence[Path]) -> list[Run]:
    """The runs, named by what of their paths differs.

    Raises:
        ValueError: no folder, one given twice, or one that holds no run or a damaged file.
    """
    if not folders:
        raise ValueError(f"runs: expected one folder or more, got none; {MAKERS}.")
    places = [folder.resolve() for folder in folders]
    twice = [str(folder) for folder, place in zip(folders, places, strict=True) if places.count(place) > 1]
    if twice:
        raise ValueError(f"runs: expected each folder once, got {', '.join(twice)}.")
    root = commonpath([place.parent for place in places])
    return [read_run(folder, place.relative_to(root).as_posix()) for folder, place in zip(folders, places, strict=True)]


def read_run(folder: Path, name: str) -> Run:
    """One run.

    Raises:
        ValueError: the folder holds none, or a damaged file.
    """
    kind = kind_of(folder)
    rows = read_rows(folder / "rows.csv") if (folder / "rows.csv").exists() else []
    described = {"benchmark": "run.json", "rollout": "rollout.json"}.get(kind)
    evaluations = read_lines(folder / "evaluations.jsonl", ("step", "success", "episodes"))
    ended = _if_there(folder / "policy" / "config.json")
    policy = ended or _if_there(folder / "best" / "config.json")
    return Run(
        folder=folder,
        name=name,
        kind=kind,
        settings=_if_there(folder / "config.json"),
        described=read_object(folder / described) if described else {},
        policy=policy,
        finished=bool(ended),
        row=next((row for row in rows if not row.shift), None),
        losses=read_lines(folder / "log.jsonl", ("step", "loss")),
        evaluations=evaluations,
        successes=read_successes(folder, evaluations, policy.get("origin", {}).get("task")),
        films=[path for place in (folder, *rollouts_within(folder)) for path in films_in(place)],
    )


def kind_of(folder: Path) -> Kind:
    """What made the folder.

    Raises:
        ValueError: it is missing, of another command, a folder of several runs, or no run at all.
    """
    if not folder.is_dir():
        raise ValueError(f"runs: expected folders of runs, got {folder}, which is no folder; {MAKERS}.")
    if (folder / "run.json").exists():
        return "benchmark"
    settings, played = _if_there(folder / "config.json"), (folder / "rollout.json").exists()
    if played and not settings:
        return "rollout"
    if settings and "demos" not in settings.get("config", {}):
        raise ValueError(
            f"runs: expected the run of a policy, got {folder}, whose config.json is of "
            f"{settings.get('command', 'another command')!r}; {MAKERS}."
        )
    if settings:
        words = str(settings.get("command", "")).split()
        return "demo" if "demo" in words[1:2] or "policy_examples.demo" in words else "finetune"
    if (folder / "log.jsonl").exists() or (folder / "episodes.jsonl").exists():
        return "finetune"
    within = sorted(str(path.parent) for path in folder.glob("*/*/*/*/run.json"))
    if within:
        raise ValueError(f"runs: {folder} is a benchmark of {len(within)} runs; name some, such as {within[0]}.")
    raise ValueError(
        f"runs: {folder} holds none of config.json, log.jsonl, run.json, rollout.json, episodes.jsonl; {MAKERS}."
    )


def rollouts_within(folder: Path) -> list[Path]:
    """The folders of `xdistill rollout` that lie in a run's."""
    return sorted(path.parent for path in folder.glob("[!.]*/rollout.json"))


def films_in(folder: Path) -> list[Path]:
    """A solved episode first, then a failed one, then whatever else was filmed."""
    films = sorted(folder.glob("[!.]*.mp4"))  # hidden ones are being written
    return sorted(films, key=lambda path: (path.stem != "success", path.stem != "failure"))


def _if_there(path: Path) -> dict[str, Any]:
    return read_object(path) if path.exists() else {}
