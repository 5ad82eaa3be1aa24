"""Which tasks belong to which suite of the benchmark."""

from typing import Literal

from policy_examples.envs.published import ADROIT, METAWORLD

SuiteName = Literal["paper34", "metaworld50", "adroit3", "smoke"]

PAPER_COUNTS = {"easy": 20, "medium": 7, "hard": 1, "very hard": 1}
"""MetaWorld tasks of each difficulty in X-Distill (arXiv 2601.11269)."""

NOTES: dict[str, str] = {
    "paper34": (
        "paper34 is 32 tasks: the paper's counts of MetaWorld tasks (20 easy, 7 medium, 1 hard, 1 very hard) and "
        "Adroit's 3; its 2 DexArt tasks are not in this benchmark. Which MetaWorld tasks the paper used is unknown. "
        "Ours follow from DP3's published numbers: the easy tasks on which image Diffusion Policy does worst, which "
        "leaves out 8 of the 9 on which it is perfect (ties by alphabet); of the other difficulties, the tasks on "
        "which DP3 does best, so that ten demonstrations suffice."
    ),
    "metaworld50": "metaworld50 is all of MetaWorld's tasks.",
    "adroit3": "adroit3 is Adroit's door, hammer and pen.",
    "smoke": "smoke is one easy task that shows whether everything runs.",
}


def suite_tasks(suite: SuiteName) -> list[str]:
    """The tasks of a suite, MetaWorld's from easy to very hard, then Adroit's.

    Raises:
        ValueError: there is no such suite.
    """
    if suite == "paper34":
        return [*_paper_metaworld(), *sorted(ADROIT)]
    if suite == "metaworld50":
        return sorted(METAWORLD, key=lambda task: (list(PAPER_COUNTS).index(METAWORLD[task].difficulty), task))
    if suite == "adroit3":
        return sorted(ADROIT)
    if suite == "smoke":
        return ["drawer-close"]
    raise ValueError(f"suite: expected one of {', '.join(NOTES)}, got {suite!r}.")


def _paper_metaworld() -> list[str]:
    chosen = []
    for difficulty, count in PAPER_COUNTS.items():
        tasks = sorted(task for task, published in METAWORLD.items() if published.difficulty == difficulty)
        if difficulty == "easy":
            tasks.sort(key=lambda task: METAWORLD[task].image_dp)  # a stable sort: ties stay in alphabetical order
        else:
            tasks.sort(key=lambda task: -METAWORLD[task].dp3)
        chosen += sorted(tasks[:count])
    return chosen
