"""Trains every encoder on every task with every seed, evaluates it, keeps a row for each."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tyro

from policy_examples.benchmarking.jobs import Session, failure_reason, job_of
from policy_examples.benchmarking.launchers import Finished, Job, note_on_sharing, run_local, visible_gpus
from policy_examples.benchmarking.plan import describe_plan
from policy_examples.benchmarking.protocols import PresetName
from policy_examples.benchmarking.results import adopt_rows, read_rows
from policy_examples.benchmarking.runfiles import write_run
from policy_examples.benchmarking.runs import READ_POINTS, Run, plan_runs
from policy_examples.benchmarking.suites import NOTES, SuiteName, suite_tasks
from policy_examples.benchmarking.weights import require_weights_of_rows
from policy_examples.envs.camera import RenderingError
from policy_examples.envs.shifts import ShiftName
from policy_examples.envs.tasks import require_known
from policy_examples.interrupts import StopRequest

MOST_PROCESSES = 10


@dataclass(frozen=True)
class Config:
    """What to compare; the defaults are X-Distill's protocol."""

    suite: SuiteName | None = None
    """Tasks by the name of their suite; None: those of --tasks."""
    tasks: tuple[str, ...] = ()
    """Tasks by name, such as drawer-open or adroit-door; with a suite, only these of it."""
    encoders: tuple[str, ...] = ("xdistill", "resnet18-scratch", "blind")
    """NAME[,checkpoint=...][,norm=...][,readout=...][,lr=...], such as xdistill,norm=group; norm=batch-trap shows
    what live batch norm does to an averaged policy, lr=0.1 gives the encoder a tenth of the head's learning rate,
    lr=0 fixes its weights. `blind` reads no image."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Each has demonstrations of its own, which all encoders share."""
    shared_draws: bool = False
    """A seed means the same placement seeds and noise in all tasks, as in the rows of policy_examples/results; else
    tasks are independent of each other, as intervals of `xdistill table` take them to be."""
    preset: PresetName = "dp3"
    """dp3 (T / To / Ta 16 / 2 / 8), dp3-paper (4 / 2 / 3): GPUs. cpu: a quarter of an hour to
    four hours per run on two cores. smoke: seconds."""
    shifts: tuple[ShiftName, ...] = ()
    """Evaluate each finished policy under these shifts too, a row each; names as in `xdistill rollout --shift`."""
    demonstrations: int | None = None
    """None is the preset's number, 10 but for smoke."""
    steps: int | None = None
    """Optimizer steps of a run; None is the preset's length."""
    bf16: bool | None = None
    """Train in bfloat16; None: where the machine does so natively. Rows say which; encoders compare in one alone."""
    output: Path = Path("runs/benchmark")
    """Folder of demonstrations, of runs and of failed.jsonl; a benchmark found there goes on where it stopped."""
    csv: Path | None = None
    """Rows go here; None is results.csv in the output folder. A run that has its row here is not repeated."""
    plan: bool = False
    """Only say how many runs there are and how long they take."""
    launcher: Literal["local", "ray"] = "local"
    """`ray` spreads runs over the machines of RAY_ADDRESS, which must share the working folder and the output."""
    jobs: int = 1
    """local: runs at the same time; GPUs are dealt out in turn."""
    ray_cpus: float = 2
    """ray: cores of a run."""
    ray_gpus: float | None = None
    """ray: GPUs of a run; 0.25 puts four runs on one. None: 1 where the cluster has GPUs."""
    processes: int | None = None
    """Environments that a run plays side by side, at most a matter of rounding; None: one a core, up to 10."""
    experts: Path | None = None
    """Folder of Adroit's experts; None downloads them."""
    keep_policies: bool = True
    """Leave the best and the last policy of a run in its folder: 2 GB at the published sizes. Shifts need the last."""


@dataclass
class Outcome:
    """What came of a benchmark."""

    runs: int
    finished: int = 0
    """Runs that have all their rows, earlier ones included."""
    failed: list[dict[str, str]] = field(default_factory=list)
    """{"run", "reason", "log"} of those that ended otherwise."""
    stopped: bool = False
    """A signal came; the same command goes on."""


def run_benchmark(config: Config) -> Outcome:
    """Run, or go on with, whatever has no row yet.

    Raises:
        ValueError: settings that do not exist or do not fit together; a run's own failure does not raise.
    """
    runs = planned_runs(config)
    csv = results_path(config)
    pending = {str(run.folder(config.output).absolute()): run for run in runs if not is_finished(run, config)}
    require_weights_of_rows(runs, csv)
    outcome = Outcome(len(runs), finished=len(runs) - len(pending))
    print(f"{len(runs)} runs, {outcome.finished} finished; rows: {csv}", flush=True)
    failures = config.output / "failed.jsonl"
    failures.unlink(missing_ok=True)  # what failed is tried again
    for folder, run in pending.items():
        require_policy_of_row(run, Path(folder), csv)
        write_run(run, Path(folder))
    with StopRequest() as stop:
        for ended in launch(config, list(pending.values()), lambda: stop.requested):
            run = pending[ended.name]
            try:  # first: where a shift failed, the training has its row all the same
                done, refusal = is_finished(run, config), None
            except ValueError as error:  # another sweep came first with a row of its own
                done, refusal = False, str(error)
            if ended.status == 0 and done:
                outcome.finished += 1
                print(f"[{outcome.finished}/{len(runs)}] {report(run, csv)}", flush=True)
            elif not stop.requested:
                log = Path(ended.name) / "log"
                failure = {"run": run.command(), "reason": refusal or failure_reason(ended, log), "log": str(log)}
                outcome.failed.append(failure)
                with failures.open("a") as file:
                    file.write(json.dumps(failure) + "\n")
                print(f"failed: {failure['run']}: {failure['reason']}", flush=True)
        outcome.stopped = stop.requested and outcome.finished + len(outcome.failed) < len(runs)
    return outcome


def planned_runs(config: Config) -> list[Run]:
    """All runs that the configuration asks for.

    Raises:
        ValueError: no tasks, or a task that is unknown or not of the suite.
    """
    tasks: Sequence[str] = config.tasks
    for task in tasks:
        require_known(task)
    if config.suite is not None:
        suite = suite_tasks(config.suite)
        strangers = [task for task in tasks if task not in suite]
        if strangers:
            raise ValueError(f"tasks: expected tasks of {config.suite}, got {', '.join(strangers)}; leave --suite out.")
        tasks = tasks or suite
    for name, number in (("jobs", config.jobs), ("processes", config.processes)):
        if number is not None and number < 1:
            raise ValueError(f"{name}: expected 1 or more, got {number}.")
    if not tasks:
        raise ValueError(f"suite: expected one of {', '.join(NOTES)}, or --tasks, got neither.")
    return plan_runs(
        tasks,
        config.encoders,
        config.seeds,
        config.preset,
        config.demonstrations,
        config.steps,
        config.bf16,
        config.shared_draws,
    )


def results_path(config: Config) -> Path:
    """Where rows go."""
    return config.csv or config.output / "results.csv"


def is_finished(run: Run, config: Config) -> bool:
    """Whether the run has all its rows, taking those that lie in its folder."""
    done = adopt_rows(run.folder(config.output) / "rows.csv", results_path(config))
    return {run.command(), *(run.command(shift) for shift in config.shifts)} <= done


def require_policy_of_row(run: Run, folder: Path, csv: Path) -> None:
    """Raise a ValueError where the CSV has the row of a training whose policy, wanted for shifts, lies elsewhere."""
    trained = {row.command for row in read_rows(csv)} if csv.exists() else set()
    if run.command() in trained and not (folder / "policy").is_dir():
        raise ValueError(
            f"shifts: expected the policy of {run.task}, {run.encoder}, seed {run.seed} in {folder}, whose training "
            f"has its row in {csv}, got none; name the --output where it lies, or take that row and those of its "
            "shifts out, delete the folder, and it is trained again."
        )


def launch(config: Config, runs: Sequence[Run], stopping: Callable[[], bool]) -> Iterator[Finished]:
    """Start a process for each run, by the launcher that was asked for."""
    points = any(run.encoder.name in READ_POINTS for run in planned_runs(config))
    jobs: list[Job] = [
        job_of(
            Session(
                folder=str(run.folder(config.output).absolute()),
                store=str(run.store(config.output, points).absolute()),
                points=points,
                suite=config.suite or "",
                shifts=config.shifts,
                processes=config.processes or processes_of(config),
                experts=None if config.experts is None else str(config.experts.absolute()),
                keep_policies=config.keep_policies,
            )
        )
        for run in runs
    ]
    if config.launcher == "local":
        if note := note_on_sharing(min(config.jobs, len(jobs)), visible_gpus()):
            print(note, flush=True)
        return run_local(jobs, config.jobs, stopping)
    from policy_examples.benchmarking.ray_launcher import run_on_ray

    return run_on_ray(jobs, config.ray_cpus, config.ray_gpus, config.output.absolute() / "stop", stopping)


def processes_of(config: Config) -> int:
    """Environments side by side where the command line does not say it: one a core of a run, up to ten."""
    cores = (os.cpu_count() or 1) / config.jobs if config.launcher == "local" else config.ray_cpus
    return max(1, min(int(cores), MOST_PROCESSES))


def report(run: Run, csv: Path) -> str:
    """A finished run in a line."""
    (row,) = [row for row in read_rows(csv) if row.command == run.command()]
    shifted = [
        other for other in read_rows(csv) if other.shift and other.command.startswith(row.command + " --shifts ")
    ]
    text = f"{run.task}, {run.encoder}, seed {run.seed}: best {row.best:.0%}, last {row.last:.0%}"
    return f"{', '.join([text, *(f'{other.shift} {other.last:.0%}' for other in shifted)])}; {row.minutes:.1f} minutes"


def main() -> None:
    """`xdistill benchmark`."""
    config = tyro.cli(Config, prog="xdistill benchmark", description="Encoders x tasks x seeds -> success rates.")
    if config.suite is not None:
        print(NOTES[config.suite])
    try:
        if config.plan:
            processes = config.processes or processes_of(config)
            runs, csv = planned_runs(config), results_path(config)
            require_weights_of_rows(runs, csv)
            for line in describe_plan(runs, csv, config.jobs, processes, config.experts):
                print(line, flush=True)
            return
        outcome = run_benchmark(config)
    except (OSError, ValueError, RenderingError) as error:
        raise SystemExit(f"xdistill benchmark: {error}") from error
    except KeyboardInterrupt:
        print("\nxdistill benchmark: interrupted", file=sys.stderr)
        sys.exit(130)
    if outcome.stopped:
        print(f"stopped after {outcome.finished} of {outcome.runs} runs; the same command goes on.", file=sys.stderr)
        sys.exit(130)
    if outcome.failed:
        print(f"{len(outcome.failed)} of {outcome.runs} runs failed:", file=sys.stderr)
        for failure in outcome.failed:
            print(f"  {failure['run']}\n    {failure['reason']}\n    {failure['log']}", file=sys.stderr)
        sys.exit(1)
    print(f"all {outcome.runs} runs have their rows; sum them up: xdistill table {results_path(config)}")


if __name__ == "__main__":
    main()
