"""Notes which branch of its code a scripted expert of MetaWorld takes."""

import ast
import linecache
import sys
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

FUNCTIONS = ("get_action", "_desired_pos")
"""Of an expert: where it decides where the hand goes. What the gripper does follows from the same distances."""
MODULES = "/metaworld/policies/"


class BranchTrace:
    """Inside `with BranchTrace() as trace`, each expert that acts leaves its branch in `trace.branch`.

    MetaWorld's experts are chains of `if` over distances between hand, object and goal, so that the branch is the phase
    of the task. It is read from outside, by Python's tracing of lines; a tracer that was there before comes back.

    Attributes:
        lines: (file, line) of every line that ran in the expert's `FUNCTIONS`.
    """

    def __init__(self) -> None:
        self.lines: set[tuple[str, int]] = set()

    def __enter__(self) -> "BranchTrace":
        self._before = sys.gettrace()
        sys.settrace(self._enter_function)
        return self

    def __exit__(self, *exception: object) -> None:
        sys.settrace(self._before)

    @property
    def branch(self) -> str:
        """The branches that were taken, one within the other: "sawyer_door_open_v3_policy.py:36 return pos_door"."""
        taken = []
        for file in sorted({file for file, _ in self.lines}):
            ran = {line for name, line in self.lines if name == file}
            for first, last in branches(file):
                if ran.intersection(range(first, last + 1)):
                    taken.append(f"{Path(file).name}:{first} {linecache.getline(file, first).strip()}")
        return "; ".join(taken) or "after every condition"

    def _enter_function(self, frame: FrameType, event: str, argument: object) -> Any:
        code = frame.f_code
        expert = code.co_name in FUNCTIONS and MODULES in Path(code.co_filename).as_posix()
        return self._note_line if expert else None

    def _note_line(self, frame: FrameType, event: str, argument: object) -> Any:
        if event == "line":
            self.lines.add((frame.f_code.co_filename, frame.f_lineno))
        return self._note_line


@cache
def branches(file: str) -> tuple[tuple[int, int], ...]:
    """First and last line of the statement with which each branch of a file's `if`s begins, in their order.

    An `elif` is no branch, its own branches are.
    """
    found = []
    for node in ast.walk(ast.parse(Path(file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.If):
            found.append(beginning(node.body[0]))
            if node.orelse and not isinstance(node.orelse[0], ast.If):
                found.append(beginning(node.orelse[0]))
    return tuple(sorted(found))


def beginning(statement: ast.stmt) -> tuple[int, int]:
    """First and last line of a statement; of an `if`, those of its condition."""
    end = statement.test.end_lineno if isinstance(statement, ast.If) else statement.end_lineno
    return statement.lineno, end or statement.lineno
