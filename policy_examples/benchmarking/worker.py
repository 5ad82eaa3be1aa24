"""One run of the benchmark, in a process of its own: `python -m policy_examples.benchmarking.worker`."""

import shutil
import sys
import time
from pathlib import Path

from policy_examples import rollout, train
from policy_examples.benchmarking.jobs import Session, read_session
from policy_examples.benchmarking.outcome import row_of_shift, row_of_training
from policy_examples.benchmarking.protocols import PROTOCOLS
from policy_examples.benchmarking.results import append_rows, read_rows
from policy_examples.benchmarking.runfiles import add_minutes, describe_run, first_commit, read_run
from policy_examples.benchmarking.runs import Run
from policy_examples.benchmarking.stages import collect_once, film, load_policy, train_config
from policy_examples.demos import FIRST_EVALUATION_SEED
from policy_examples.interrupts import StopRequest
from policy_examples.run_lock import sole_run
from policy_examples.video import require_video_writer
from xdistill_encoder.freed_memory import keep_freed_memory
from xdistill_encoder.provenance import commit

STOPPED = 130
"""Exit status of a run that was asked to stop; the same command continues it."""


def work(session: Session, source: str | None) -> bool:
    """Do what is left of the run; returns whether all of it is done.

    Args:
        source: the commit of the code that runs, for the rows.

    Raises:
        ValueError: another process works on it, or a part of it cannot be done as asked.
    """
    folder = Path(session.folder)
    run = read_run(folder)
    with sole_run(folder):
        if "" not in finished_shifts(folder) and not learn(run, folder, session, source):
            return False
        for shift in session.shifts:
            if shift not in finished_shifts(folder) and not evaluate_shift(run, folder, shift, session, source):
                return False
    if not session.keep_policies:
        for name in ("policy", "best"):
            shutil.rmtree(folder / name, ignore_errors=True)
    return True


def finished_shifts(folder: Path) -> set[str]:
    """Those that have a row; the empty one is the training itself."""
    path = folder / "rows.csv"
    return {row.shift for row in read_rows(path)} if path.exists() else set()


def learn(run: Run, folder: Path, session: Session, source: str | None) -> bool:
    """Train with evaluations, film, note the row; returns whether training came to its end."""
    require_video_writer()
    store, experts = Path(session.store), None if session.experts is None else Path(session.experts)
    if not (folder / "checkpoint.pt").exists():
        describe_run(run, folder, source)  # other code, on another machine, may have planned it
    source = commits(folder, source)
    collect_once(run, store, session.points, session.processes, experts)
    began = time.monotonic()
    try:
        done = train.train(train_config(run, store, folder, session.processes))
    finally:
        add_minutes(folder, (time.monotonic() - began) / 60)
    if not done:
        return False
    policy = load_policy(folder)
    film(run, policy, folder)
    append_rows(folder / "rows.csv", [row_of_training(run, session.suite, folder, policy, source)])
    (folder / "checkpoint.pt").unlink()  # gigabytes at the published sizes, and of use to unfinished runs alone
    return True


def commits(folder: Path, source: str | None) -> str | None:
    """Of the code that trains: where a training that another commit began goes on, FIRST..LAST."""
    begun = first_commit(folder)
    return source if source is None or begun in (None, source) else f"{begun}..{source}"


def evaluate_shift(run: Run, folder: Path, shift: str, session: Session, source: str | None) -> bool:
    """Play the finished policy under a shift, note the row; returns whether it came to its end."""
    if not (folder / "policy").is_dir():
        raise ValueError(
            f"shifts: expected a policy in {folder}, none was kept; delete the folder, and its rows in the CSV, to "
            "train again."
        )
    began, protocol, policy = time.monotonic(), PROTOCOLS[run.preset], load_policy(folder)
    scene = protocol.scene(run.task, "point_cloud" in policy.reads, shift)
    seeds = range(FIRST_EVALUATION_SEED, FIRST_EVALUATION_SEED + protocol.episodes)
    log = folder / f"episodes-{shift}.jsonl"
    with StopRequest() as stop:
        episodes = rollout.evaluate(
            policy, scene, seeds, processes=session.processes, log=log, stop=lambda: stop.requested
        )
    if len(episodes) < len(seeds):
        return False
    (trained,) = [row for row in read_rows(folder / "rows.csv") if not row.shift]
    minutes = (time.monotonic() - began) / 60
    row = row_of_shift(trained, run, session.suite, shift, episodes, minutes, source)
    append_rows(folder / "rows.csv", [row])
    return True


def main() -> None:
    """Run the session of the command line; the last line of a failure says why."""
    keep_freed_memory()
    source = commit(Path(__file__))  # at the start: the checkout may move on while this code runs
    sys.exit(0 if work(read_session(sys.argv[1]), source) else STOPPED)


if __name__ == "__main__":
    main()
