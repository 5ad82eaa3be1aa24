"""Shows saliency, embeddings, scorecards."""

from collections.abc import Sequence

from policy_examples.explain.reporting.elements import Html, code, folded, html, join, paragraph, table
from policy_examples.explain.reporting.explanations import COURSE_FILE, Explanation, Scorecard
from policy_examples.explain.reporting.facts import flatten
from policy_examples.explain.reporting.media import Budget, film, picture

SCORES = (
    ("knn10_percent", "10-NN, %"),
    ("knn20_percent", "20-NN, %"),
    ("linear_probe_percent", "linear probe, %"),
    ("knn10_blur_percent", "10-NN, blurred, %"),
    ("knn10_noise_percent", "10-NN, noisy, %"),
    ("knn10_brightness_percent", "10-NN, brighter, %"),
    ("effective_rank", "effective rank"),
    ("teacher_cosine", "cosine to the teacher"),
    ("teacher_head_agreement_percent", "agrees with the teacher, %"),
)
"""Columns of a scorecard that are shown; the others are to open."""
SHARE = (
    "Share: of the saliency, on what the simulator says are the task's objects. Area: what they are of the pixels that "
    "the encoder sees, which a map that knows nothing of objects would reach; times area: share over area. Entropy: 1 "
    "is even, 0 a single pixel. Grad-CAM is as coarse as the encoder's last map, 3 x 3 of a ResNet-18 at 96 px: its "
    "numbers do not compare between encoders whose maps have other grids."
)
RELATIVE = ". Each map is drawn relative to its own brightest: two of them do not compare in strength."
NONE = "–"


def saliency_part(found: Sequence[Explanation], budget: Budget, picture_bytes: int) -> Html:
    """Strips, what the numbers beside them say, overlays as videos."""
    parts = []
    for each in found:
        names = ", ".join(dict.fromkeys(row["encoder"] for row in each.rows)) or each.folder.name
        frames = str(each.summary.get("frames", ""))
        where = f"Where the policy looks, {frames}; from " if frames else "Where the policy looks; from "
        described = f"Saliency of {names}: frames of an episode under their maps; the table below has the numbers"
        parts.append(picture(each.picture, described, join([where, code(each.picture), RELATIVE], ""), picture_bytes))
        course = each.folder / COURSE_FILE
        shown = "Share on task objects, entropy" if any(row["share"] for row in each.rows) else "Entropy"
        caption = join([f"{shown} at each step; from ", code(course), "."], "")
        parts += [
            _means(each),
            picture(course, f"{shown} of {names} over the episode", caption, picture_bytes),
        ]
        parts += [film(path, "Saliency over the episode", f"saliency of {names}", budget) for path in each.films]
        parts.append(_settings("How this saliency was made", each))
    return join(part for part in parts if part)


def embedding_part(found: Sequence[Explanation], picture_bytes: int) -> Html:
    """Pictures with their silhouettes."""
    parts = []
    for each in found:
        names = ", ".join(dict.fromkeys(row["encoder"] for row in each.rows))
        caption = join(
            [
                "Frames of demonstrations by the stages of the task (of several: by task); from ",
                code(each.picture),
                ".",
            ],
            "",
        )
        described = f"Embedding of frames by {names}, t-SNE and PCA; the table below has the silhouettes"
        parts.append(picture(each.picture, described, caption, picture_bytes))
        rows = [
            (row["encoder"], row["method"], row["silhouette"], _interval(row), row["frames"], row["stages"])
            for row in each.rows
        ]
        title = "Silhouette of the stages: 1, far apart; 0, they overlap"
        parts.append(table(title, ("encoder", "distances in", "silhouette", "95 % interval", "frames", "stages"), rows))
        parts.append(_settings("How this embedding was made", each))
    return join(parts)


def scorecard_part(found: Sequence[Scorecard]) -> Html:
    """Scorecards in one table, a row per encoder."""
    if not found:
        return html("")
    shown = [(name, title) for name, title in SCORES if any(card.scores.get(name) is not None for card in found)]
    header = ["encoder", "labelled images", *(title for _, title in shown)]
    rows = []
    for card in found:
        scores = [card.scores.get(name) for name, _ in shown]
        known = [NONE if score is None else score for score in scores]
        rows.append((card.scores.get("encoder") or card.path.stem, card.scores.get("queries") or NONE, *known))
    everything = [
        folded(f"All of {card.path}", table(str(card.path), ("score", "value"), list(flatten(card.scores).items())))
        for card in found
    ]
    said = "What the features are worth without a policy: neighbours and a linear probe on labelled images."
    return join([paragraph(said), table("Scorecard", header, rows), *everything])


def _means(found: Explanation) -> Html:
    """Of the episode, a row a method and encoder; nothing where the summary has none."""
    means = found.summary.get("means") or []
    if not means:
        return html("")

    def cell(value: object, form: str) -> str:
        return form.format(value) if isinstance(value, (int, float)) else NONE

    rows = [
        (
            f"{line.get('encoder')}, {line.get('method')}",
            cell(line.get("share"), "{:.1%}"),
            cell(line.get("area"), "{:.1%}"),
            cell(line.get("lift"), "{:.1f}"),
            cell(line.get("entropy"), "{:.2f}"),
            line.get("steps", NONE),
        )
        for line in means
    ]
    header = ("encoder, method", "share on objects", "their area", "times area", "entropy", "frames")
    return join([table("Means over the episode", header, rows), paragraph(SHARE, class_="note")])


def _settings(title: str, found: Explanation) -> Html:
    """Its summary, without what is shown already."""
    shown = ("rows", "means", "stages", "demonstrations")
    flat = flatten({name: value for name, value in found.summary.items() if name not in shown})
    return folded(title, table(str(found.folder), ("fact", "value"), list(flat.items()), numbers=False))


def _interval(row: dict[str, str]) -> str:
    return f"{row['low']} to {row['high']}" if row["low"] and row["high"] else NONE
