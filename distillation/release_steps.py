"""One command of a release: its words, its settings, whether it is done, its process."""

import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from distillation import publish, scorecard, targets, train
from distillation.publishing.hub_folder import encoder_folder
from distillation.student_files import ENCODER_FOLDER
from distillation.training.checkpointing import CHECKPOINT_FILE
from xdistill_encoder.checkpoint_config import CONFIG_FILE
from xdistill_encoder.checkpoints import read_config
from xdistill_encoder.cli import COMMANDS, recipes_folder

COMMAND_CONFIGS: dict[str, Any] = {
    "targets": targets.Config,
    "distill": train.Config,
    "scorecard": scorecard.Config,
    "publish": publish.Config,
}


@dataclass(frozen=True)
class Step:
    """One command.

    Attributes:
        command: of `xdistill`.
        arguments: of the command.
        shared: it runs in as many processes as the release has.
        scores: the file that it writes about the checkpoint in `of`, which need not be written twice.
        of: folder of a run.
        start: folder of the checkpoint from which that run starts.
    """

    command: str
    arguments: tuple[str, ...]
    shared: bool = False
    scores: Path | None = None
    of: Path | None = None
    start: Path | None = None

    def parse(self) -> Any:
        """Its settings, as its command reads them; a SystemExit, after words about it, where it refuses one."""
        arguments = list(self.arguments)
        if self.command == "distill":
            given = arguments.index("--preset")  # which main() takes off
            preset = train.PRESETS[arguments[given + 1]]
            return tyro.cli(
                COMMAND_CONFIGS[self.command], args=arguments[:given] + arguments[given + 2 :], default=preset
            )
        return tyro.cli(COMMAND_CONFIGS[self.command], args=arguments)

    def done(self) -> bool:
        """Whether its scores are of the weights that lie there, measured as asked, or its encoder is; others know by
        themselves."""
        if self.command == "distill":
            return self._distilled()
        if self.scores is None or self.of is None or not self.scores.exists():
            return False
        weights = read_config(encoder_folder(self.of) / CONFIG_FILE).weights_sha256
        written = json.loads(self.scores.read_text())
        return written.get("weights_sha256") == weights and written.get("command", "").endswith(
            shlex.join(self.arguments)
        )

    def _distilled(self) -> bool:
        """Whether the encoder that these arguments make lies there alone, as it was brought from another machine.

        Beside its checkpoint.pt the run itself sees whether it has ended, and compares more.
        """
        assert self.of is not None
        if (self.of / CHECKPOINT_FILE).exists() or not (self.of / ENCODER_FOLDER / CONFIG_FILE).exists():
            return False
        made = read_config(self.of / ENCODER_FOLDER / CONFIG_FILE).provenance
        if self.start is not None:
            if not (self.start / CONFIG_FILE).exists():
                return False
            begun = made.get("started_from", {}).get("weights_sha256")
            if begun != read_config(self.start / CONFIG_FILE).weights_sha256:
                return False
        return made.get("command", "").endswith(shlex.join(self.arguments))

    def __str__(self) -> str:
        return shlex.join(["xdistill", self.command, *self.arguments])


def process(step: Step, processes: int) -> list[str]:
    """The process that runs a step, by the recipe that this file belongs to: the installed one, or a copy of it."""
    installed = recipes_folder().resolve() == Path(__file__).resolve().parents[1]
    module = ["xdistill_encoder", step.command] if installed else [COMMANDS[step.command][0]]
    launcher = [sys.executable]
    if step.shared and processes > 1:
        launcher += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return [*launcher, "-m", *module, *step.arguments]


def run(command: list[str]) -> int:
    """The exit status of a command; signals to this process are passed on to it, so that it saves before it ends."""
    with subprocess.Popen(command, start_new_session=True) as child:  # a terminal's Ctrl-C reaches it once, by us
        handlers = {
            number: signal.signal(number, lambda number, _: child.send_signal(number))
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            return child.wait()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)


def option(name: str, *values: object) -> list[str]:
    """An option as the command line has it."""
    return [f"--{name}", *map(str, values)]


def by_option(words: Sequence[str]) -> list[tuple[str, list[str]]]:
    """A command line, cut before each option: (the setting's name, the option with its values)."""
    found: list[tuple[str, list[str]]] = []
    for word in words:
        if word.startswith("--"):
            name = word.partition("=")[0].removeprefix("--").replace("-", "_")
            found.append((name.removeprefix("no_"), []))
        elif not found:
            raise ValueError(f"expected an option of xdistill distill, got {word!r}")
        found[-1][1].append(word)
    return found


def given(field: str, value: object) -> list[str]:
    """The option of a setting that is not left to the preset."""
    return [] if value is None else option(field.replace("_", "-"), value)
