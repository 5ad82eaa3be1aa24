"""How often every task's expert succeeds, without rendering a frame."""

import csv
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import tyro
from tqdm import tqdm

from policy_examples.attempts import REQUIRED_SOLVED_STEPS
from policy_examples.envs.camera import RenderingError
from policy_examples.envs.tasks import TaskConfig, difficulty, open_environment, suite_of, task_names
from xdistill_encoder.provenance import command, commit

COLUMNS: tuple[str, ...] = ("task", "difficulty", "episodes", "success", "kept", "seeds", "command", "commit")


@dataclass(frozen=True)
class Config:
    """Which experts to play."""

    tasks: tuple[str, ...] = ()
    """Their names; none is all 53."""
    metaworld_episodes: int = 10
    """Episodes of a MetaWorld task."""
    adroit_episodes: int = 20
    """Episodes of an Adroit task."""
    seed: int = 0
    """Placement seed of the first episode; the others count up."""
    experts: Path | None = None
    """Folder of Adroit's experts (door-v0.pickle and so on); None downloads them."""
    processes: int = 2
    """Tasks played at a time."""
    csv: Path = Path("policy_examples/results/experts.csv")
    """Takes a row per task; tasks whose rows it holds are not played again."""


def rate(task: str, seeds: range, experts: Path | None) -> dict[str, object]:
    """Play a task's expert.

    Returns:
        success, the share of episodes that are solved by the task's rule, and kept, of those with five solved steps.
    """
    solved = kept = 0
    with open_environment(TaskConfig(task), experts) as env:
        for seed in seeds:
            env.reset(seed)
            steps = [env.step(env.expert_action()) for _ in range(env.episode_steps)]
            success = any(steps) if env.solved == "ever" else steps[-1]
            solved += success
            kept += success and sum(steps) >= REQUIRED_SOLVED_STEPS
    return {"success": solved / len(seeds), "kept": kept / len(seeds)}


def run(config: Config) -> None:
    """Play the tasks that the CSV lacks; every finished one is a row at once.

    Raises:
        ValueError: unknown task, an expert that cannot be had, or a CSV of other columns.
    """
    waiting = []
    present = read_rows(config.csv)
    for task in config.tasks or task_names():
        episodes = config.metaworld_episodes if suite_of(task) == "metaworld" else config.adroit_episodes
        seeds = range(config.seed, config.seed + episodes)
        if (task, name_of(seeds)) not in present:
            waiting.append((task, seeds))
    provenance = {"command": command(), "commit": commit(Path(__file__))}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(config.processes, context) as pool, tqdm(total=len(waiting), unit="task") as progress:
        jobs = {pool.submit(rate, task, seeds, config.experts): (task, seeds) for task, seeds in waiting}
        try:
            for job in as_completed(jobs):
                task, seeds = jobs[job]
                facts = {"task": task, "difficulty": difficulty(task), "episodes": len(seeds), "seeds": name_of(seeds)}
                append_row(config.csv, {**facts, **job.result(), **provenance})
                progress.update()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def name_of(seeds: range) -> str:
    """First and last seed, as a CSV has them."""
    return f"{seeds[0]}-{seeds[-1]}"


def read_rows(path: Path) -> set[tuple[str, str]]:
    """Task and seeds of every row; none where there is no file.

    Raises:
        ValueError: the file has other columns.
    """
    if not path.exists():
        return set()
    with path.open(newline="") as file:
        rows = csv.DictReader(file)
        if tuple(rows.fieldnames or ()) != COLUMNS:
            raise ValueError(
                f"csv: expected columns {', '.join(COLUMNS)} in {path}, got {rows.fieldnames}; name another."
            )
        return {(row["task"], row["seeds"]) for row in rows}


def append_row(path: Path, row: dict[str, object]) -> None:
    """Add a row, after the header where the file is not there yet."""
    begun = path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if not begun:
            writer.writeheader()
        writer.writerow(row)


def main() -> None:
    """`python -m policy_examples.expert_rates`."""
    program = "python -m policy_examples.expert_rates"
    config = tyro.cli(Config, prog=program, description="Success of every task's expert.")
    try:
        run(config)
    except (ValueError, RenderingError) as error:
        raise SystemExit(f"{program}: {error}") from error
    print(f"rates of the experts: {config.csv}")


if __name__ == "__main__":
    main()
