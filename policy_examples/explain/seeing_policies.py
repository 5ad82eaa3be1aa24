"""Finds the policies that look at images, in the folders that a command line names."""

from collections.abc import Sequence
from pathlib import Path

from policy_examples.policy_files import CONFIG, WEIGHTS, read_config
from policy_examples.policy_shape import is_camera


def seeing_policies(named: Sequence[Path]) -> list[Path]:
    """The folders of policies, each once: named ones, and in the folders of runs that are named every `policy` folder.

    A folder of runs may hold policies that read no pixels; they are left out, and a line says so.

    Raises:
        ValueError: a folder that is not there or holds no such policy, a policy that was named and reads none.
    """
    folders: list[Path] = []
    for path in named:
        places = {folder.resolve() for folder in folders}
        folders += [folder for folder in within(path) if folder.resolve() not in places]
    return folders


def within(path: Path) -> list[Path]:
    """The policies of one named folder; raises ValueError as `seeing_policies`."""
    if not path.exists():
        raise ValueError(
            f"policies: there is no {path}; `xdistill finetune --demos DEMOS --output RUN` writes RUN/policy."
        )
    if (path / WEIGHTS).is_file():
        if not sees(path):
            raise ValueError(
                f"policies: expected policies that read images, the one in {path} reads {reads(path)}; train one with "
                "`xdistill finetune --encoder xdistill`."
            )
        return [path]
    found = sorted(config.parent for config in path.rglob(f"policy/{CONFIG}"))
    seeing = [folder for folder in found if sees(folder)]
    for folder in found:
        if folder not in seeing:
            print(f"left out: {folder}, which reads {reads(folder)}", flush=True)
    if not seeing:
        raise ValueError(
            f"policies: {path} holds no policy that reads images; `xdistill finetune --output {path}` writes one into "
            f"{path / 'policy'} when it ends, `xdistill benchmark --output {path}` one a run."
        )
    return seeing


def sees(folder: Path) -> bool:
    """Whether a saved policy reads cameras, and nothing else but its state."""
    cameras = read_config(folder)["shape"]["cameras"]
    return bool(cameras) and all(map(is_camera, cameras))


def reads(folder: Path) -> str:
    """What the encoders of a saved policy read, in words."""
    return ", ".join(read_config(folder)["shape"]["cameras"]) or "no camera"
