"""How long a benchmark takes, from rows that are there or from a short measurement."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from policy_examples import rollout, train
from policy_examples.benchmarking.protocols import PROTOCOLS
from policy_examples.benchmarking.results import Row, read_rows
from policy_examples.benchmarking.runfiles import describe_machine
from policy_examples.benchmarking.runs import READ_POINTS, Run
from policy_examples.benchmarking.stages import collect_once, epoch_steps, load_policy, total_steps, train_config
from policy_examples.demos import FIRST_EVALUATION_SEED
from xdistill_encoder import CheckpointError

MEASURED_DEMONSTRATIONS = 3
MEASURED_STEPS = 6
"""Optimizer steps of a measurement; the first half warms up."""


@dataclass(frozen=True)
class Cost:
    """What a run takes on this machine."""

    minutes: float
    source: str


def describe_plan(runs: Sequence[Run], csv: Path, jobs: int, processes: int, experts: Path | None) -> Iterator[str]:
    """Lines, as they are known: the number of runs, those that have no row yet, the time that these take."""
    rows = [row for row in read_rows(csv) if not row.shift] if csv.exists() else []
    done = {row.command for row in rows}
    pending = [run for run in runs if run.command() not in done]
    yield f"{len(runs)} runs, {len(runs) - len(pending)} finished, {len(pending)} to go on {describe_machine()}"
    total, unknown = 0.0, False
    for encoder in dict.fromkeys(run.encoder for run in pending):
        its = [run for run in pending if run.encoder == encoder]
        cost = cost_from_rows(its[0], rows)
        if cost is None:
            yield f"  {encoder}: measuring {MEASURED_STEPS} steps; at a GPU's sizes these are minutes of a CPU"
        try:
            cost = cost or measure(its[0], processes, experts)
        except (ValueError, CheckpointError) as error:
            unknown = True
            yield f"  {encoder}: {len(its)} runs, which cannot be measured: {error}"
            continue
        total += len(its) * cost.minutes
        yield f"  {encoder}: {len(its)} runs of {cost.minutes:.1f} minutes ({cost.source})"
    rest = ", without those that cannot be measured" if unknown else ""
    yield f"about {total / jobs / 60:.1f} hours with {jobs} at a time{rest}; shifts are not counted"


def cost_from_rows(run: Run, rows: Sequence[Row]) -> Cost | None:
    """The median of finished runs on this machine that differ in task and seed alone; None without any."""
    machine = describe_machine()
    minutes = [
        row.minutes
        for row in rows
        if row.machine == machine and row.command == replace(run, task=row.task, seed=row.seed).command()
    ]
    return Cost(median(minutes), f"median of {len(minutes)} finished ones") if minutes else None


def measure(run: Run, processes: int, experts: Path | None) -> Cost:
    """Three demonstrations, six steps, one episode per process: what the whole run takes if every episode fails.

    Raises:
        ValueError, CheckpointError: what would stop the run itself.
        KeyboardInterrupt: it was asked to stop.
    """
    protocol, points = PROTOCOLS[run.preset], run.encoder.name in READ_POINTS
    few = replace(run, demonstrations=MEASURED_DEMONSTRATIONS)
    with TemporaryDirectory(prefix="xdistill-plan-") as name:
        folder, store = Path(name) / "run", Path(name) / "store.zarr"
        collecting = _minutes(lambda: collect_once(few, store, points, processes, experts))
        training = train_config(few, store, folder, processes)
        short = replace(training, epochs=None, steps=MEASURED_STEPS, eval_every_epochs=None, log_every=1)
        with redirect_stdout(StringIO()):  # what training says of itself would read as if said of the run
            trained = train.train(short)
        if not trained:
            raise KeyboardInterrupt
        log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        rate = median(line["steps_per_second"] for line in log[MEASURED_STEPS // 2 :])
        policy, scene = load_policy(folder), protocol.scene(run.task, points)
        seeds = range(FIRST_EVALUATION_SEED, FIRST_EVALUATION_SEED + processes)
        playing = _minutes(lambda: rollout.evaluate(policy, scene, seeds, processes=processes))

        more = (run.demonstrations or protocol.demonstrations) / MEASURED_DEMONSTRATIONS
        steps = training.steps or total_steps(training) * more
        every = (training.eval_every_epochs or 1) * epoch_steps(training) * more
        evaluations = protocol.evaluations or -(-steps // every)
    minutes = steps / rate / 60 + evaluations * playing * -(-protocol.episodes // processes) + collecting * more
    return Cost(minutes, f"measured on {run.task}, with demonstrations, all episodes at full length")


def _minutes(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return (time.monotonic() - began) / 60
