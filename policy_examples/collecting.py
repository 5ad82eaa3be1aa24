"""Plays attempts, in several processes if asked, until enough have succeeded."""

import json
import os
import signal
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import asdict
from multiprocessing import connection, get_context
from pathlib import Path
from typing import Any

import numpy as np

from policy_examples.attempts import Attempt, Plan, open_attempts
from policy_examples.formats.episodes import Episode, Episodes
from policy_examples.whole_files import write_text


def first_successes(
    plan: Plan, folder: Path, episodes: int, seeds: range, processes: int, done: Callable[[bool], None]
) -> list[int]:
    """The first seeds whose attempts succeed, in their order, however many processes play.

    Every finished attempt stays in the folder, so that a killed collection goes on where it stopped.

    Args:
        done: hears of every attempt, found or played, whether it succeeded.

    Raises:
        ValueError: too few of the attempts succeed, or the folder belongs to another plan.
        ChildProcessError: a process died.
    """
    outcomes = _begun(plan, folder)
    for seed in sorted(outcomes):
        done(outcomes[seed])
    playing: set[int] = set()

    def needed() -> int | None:
        """The lowest seed nobody has played, as long as those below it may be too few."""
        promising = 0
        for seed in seeds:
            if promising == episodes:
                return None
            if seed not in outcomes and seed not in playing:
                playing.add(seed)
                return seed
            promising += outcomes.get(seed, True)
        return None

    play = (
        _play_here(plan, folder, needed)
        if processes == 1
        else _play_apart(plan, folder, needed, min(processes, episodes))
    )
    with closing(play):
        for seed, success in play:
            playing.remove(seed)
            outcomes[seed] = success
            done(success)
    successes = [seed for seed in seeds if outcomes.get(seed)][:episodes]
    if len(successes) < episodes:
        raise ValueError(
            f"episodes: the expert of {plan.task.task} succeeded {len(successes)} times in {len(seeds)} attempts, "
            f"{episodes} were asked for; ask for fewer, or for whole episodes."
        )
    return successes


def read_attempts(folder: Path, seeds: list[int], origin: dict[str, Any]) -> Episodes:
    """The successful attempts of a folder, read one at a time."""

    def read(index: int) -> Episode:
        with np.load(folder / f"{seeds[index]}.npz") as arrays:
            return dict(arrays)

    lengths = []
    for seed in seeds:
        with np.load(folder / f"{seed}.npz") as arrays:
            lengths.append(len(arrays["action"]))
    return Episodes(tuple(lengths), read, origin)


def _begun(plan: Plan, folder: Path) -> dict[int, bool]:
    """Outcomes that an earlier, killed collection left in the folder, which is made if need be."""
    path, asked = folder / "plan.json", json.loads(json.dumps(asdict(plan), default=str))
    folder.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        write_text(path, json.dumps(asked))
    found = json.loads(path.read_text())
    if found != asked:
        raise ValueError(
            f"output: {folder} holds a collection that began otherwise, {found} instead of {asked}; "
            "delete it or name another output."
        )
    kinds = {".npz": True, ".failed": False}
    return {int(file.stem): kinds[file.suffix] for file in folder.iterdir() if file.suffix in kinds}


def _keep(attempt: Attempt, folder: Path, seed: int) -> bool:
    """Play one seed, keep what comes of it."""
    episode = attempt(seed)
    if episode is None:
        (folder / f"{seed}.failed").touch()
        return False
    partial = folder / f"{seed}.partial"  # no .npz: those count as kept
    with partial.open("wb") as file:
        np.savez(file, **episode)  # type: ignore[arg-type]
    partial.rename(folder / f"{seed}.npz")
    return True


Needed = Callable[[], int | None]
Attempts = Generator[tuple[int, bool], None, None]
"""Seeds as their attempts end, with whether each succeeded."""


def _play_here(plan: Plan, folder: Path, needed: Needed) -> Attempts:
    with open_attempts(plan) as attempt:
        while (seed := needed()) is not None:
            yield seed, _keep(attempt, folder, seed)


def _play_apart(plan: Plan, folder: Path, needed: Needed, processes: int) -> Attempts:
    """Hand seeds to processes of their own, each with its simulator; yields attempts as they end."""
    workers = dict(_start(plan, folder) for _ in range(processes))
    idle = list(workers)
    try:
        while True:
            while idle and (seed := needed()) is not None:
                with _alive(workers[idle[-1]]):
                    idle.pop().send(seed)
            busy = [ours for ours in workers if ours not in idle]
            if not busy:
                return
            answered: list[Any] = connection.wait(busy)
            for ours in answered:
                with _alive(workers[ours]):
                    answer = ours.recv()
                if isinstance(answer, Exception):
                    raise answer
                idle.append(ours)
                yield answer
    finally:
        for worker in workers.values():
            worker.terminate()
            worker.join()


def _start(plan: Plan, folder: Path) -> tuple[Any, Any]:
    """Our end of a pipe, the process at the other."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    worker = context.Process(target=_serve, args=(theirs, plan, folder), daemon=True)
    worker.start()
    theirs.close()
    return ours, worker


@contextmanager
def _alive(worker: Any) -> Generator[None, None, None]:
    """Say so where the process at the other end of a pipe is dead."""
    try:
        yield
    except (EOFError, ConnectionError) as error:
        worker.join()
        raise ChildProcessError(
            f"processes: one that played died with exit code {worker.exitcode}, perhaps for lack of memory; "
            "the same command continues, with fewer --processes if need be."
        ) from error


def _serve(theirs: Any, plan: Plan, folder: Path) -> None:
    """A process's own loop: seed in, outcome out, until the other end is closed or dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent ends its processes
    try:
        with open_attempts(plan) as attempt:
            while True:
                seed = theirs.recv()
                theirs.send((seed, _keep(attempt, folder, seed)))
    except (EOFError, ConnectionError):
        os._exit(0)
    except Exception as error:
        theirs.send(error)
