"""Shows how often one run succeeded, and on which episodes."""

from policy_examples.explain.reporting.elements import Html, element, html, join, paragraph
from policy_examples.explain.reporting.runs import Run
from policy_examples.explain.reporting.successes import Success, percent, percent_range
from policy_examples.explain.reporting.tracks import Track, tracks

BEST = ". The paper counts so; the best of several is higher than one would be again."
MOST_EPISODES = 200
"""More marks than these would say nothing."""


def hero(success: Success) -> Html:
    """The number that counts, large."""
    interval = percent_range(*success.interval)
    counted = f"{success.solved} of {success.episodes} episodes solved; 95 % interval {interval}"
    said = element("span", f"{counted}; {success.what}")
    return element("p", element("strong", percent(success.rate)), " ", said, class_="hero")


def success_part(run: Run, colour: int) -> Html:
    """All of a run's rates on rails, then the episodes of its headline; empty where it played none."""
    if run.headline is None:
        return html("")
    rails = [
        Track(
            success.what[:1].upper() + success.what[1:],
            success.rate,
            success.interval,
            f"{success.solved} of {success.episodes} episodes" + (BEST if success.selected else ""),
            colour,
            "" if success.shift else success.task or run.task,
        )
        for success in run.successes
    ]
    return join([tracks(rails), _episodes(run.headline)])


def _episodes(success: Success) -> Html:
    """A mark an episode, by seed; nothing where single episodes are not known."""
    if not success.outcomes:
        return html("")
    failed = [seed for seed, solved in success.outcomes.items() if not solved]
    words = f"Seeds {min(success.outcomes):,} to {max(success.outcomes):,}; "
    words += f"failed: {', '.join(map(str, failed[:MOST_EPISODES]))}." if failed else "none failed."
    if len(success.outcomes) > MOST_EPISODES:
        return paragraph(words, class_="note")
    marks = []
    for seed, solved in success.outcomes.items():
        said = element("span", f"seed {seed} {'solved' if solved else 'failed'}", class_="hidden")
        sign = element("span", "✓" if solved else "×", aria_hidden="true")
        marks.append(element("li", sign, said, class_=None if solved else "failed", title=f"seed {seed}"))
    label = f"Each episode: {success.what}"
    return join([element("ul", *marks, class_="episodes", aria_label=label), paragraph(words, class_="note")])
