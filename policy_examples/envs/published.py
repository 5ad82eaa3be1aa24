"""Success rates that 3D Diffusion Policy (DP3, arXiv 2403.03954) reports for every task."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Difficulty = Literal["easy", "medium", "hard", "very hard", "adroit"]
"""MetaWorld's four groups of DP3's table; Adroit is a group of its own."""


@dataclass(frozen=True)
class Published:
    """What DP3 reports of one task, in percent, the mean of the five best evaluations.

    Attributes:
        difficulty: the task's group.
        dp3: DP3's success; it reads point clouds.
        image_dp: success of Diffusion Policy on images, lowest and highest number reported.
    """

    difficulty: Difficulty
    dp3: int
    image_dp: tuple[int, int]


_METAWORLD: dict[Difficulty, dict[str, tuple[int, int]]] = {  # task: (DP3, image Diffusion Policy)
    "easy": {
        "button-press": (100, 99),
        "button-press-topdown": (100, 98),
        "button-press-topdown-wall": (99, 96),
        "button-press-wall": (99, 97),
        "coffee-button": (100, 99),
        "dial-turn": (66, 63),
        "door-close": (100, 100),
        "door-lock": (98, 86),
        "door-open": (99, 98),
        "door-unlock": (100, 98),
        "drawer-close": (100, 100),
        "drawer-open": (100, 93),
        "faucet-close": (100, 100),
        "faucet-open": (100, 100),
        "handle-press": (100, 81),
        "handle-pull": (53, 27),
        "handle-press-side": (100, 100),
        "handle-pull-side": (85, 23),
        "lever-pull": (79, 49),
        "plate-slide": (100, 83),
        "plate-slide-back": (99, 99),
        "plate-slide-back-side": (100, 100),
        "plate-slide-side": (100, 100),
        "reach": (24, 18),
        "reach-wall": (68, 59),
        "window-close": (100, 100),
        "window-open": (100, 100),
        "peg-unplug-side": (75, 74),
    },
    "medium": {
        "basketball": (98, 85),
        "bin-picking": (34, 15),
        "box-close": (42, 30),
        "coffee-pull": (87, 34),
        "coffee-push": (94, 67),
        "hammer": (76, 15),
        "peg-insert-side": (69, 34),
        "push-wall": (49, 20),
        "soccer": (18, 14),
        "sweep": (96, 18),
        "sweep-into": (15, 10),
    },
    "hard": {
        "assembly": (99, 15),
        "hand-insert": (14, 9),
        "pick-out-of-hole": (14, 0),
        "pick-place": (12, 0),
        "push": (51, 30),
        "push-back": (0, 0),
    },
    "very hard": {
        "shelf-place": (17, 11),
        "disassemble": (69, 43),
        "stick-pull": (27, 11),
        "stick-push": (97, 63),
        "pick-place-wall": (35, 5),
    },
}

METAWORLD: dict[str, Published] = {
    task: Published(difficulty, dp3, (image_dp, image_dp))
    for difficulty, tasks in _METAWORLD.items()
    for task, (dp3, image_dp) in tasks.items()
}
"""The 50 tasks by MetaWorld's names."""

ADROIT: dict[str, Published] = {
    "adroit-door": Published("adroit", 62, (37, 50)),
    "adroit-hammer": Published("adroit", 100, (45, 48)),
    "adroit-pen": Published("adroit", 43, (13, 25)),
}

PUBLISHED: dict[str, Published] = METAWORLD | ADROIT


def require_known(task: str, known: Mapping[str, Published] = PUBLISHED) -> None:
    """Raise a ValueError with the closest name, then all of them, where there is no such task."""
    if task in known:
        return
    close = difflib.get_close_matches(task, known, n=1)
    guess = f" Did you mean {close[0]!r}?" if close else ""
    raise ValueError(f"task: unknown task {task!r}.{guess} The known ones: {', '.join(sorted(known))}.")
