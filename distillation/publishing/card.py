"""The model card of published weights: what made them, what they score, how to use them."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData, RepoCard

from xdistill_encoder.checkpoints import HUB_ID, CheckpointConfig

NOT_RECORDED = "not recorded"
FACTS = {
    "images": "images",
    "images_fingerprint": "their fingerprint",
    "steps": "steps",
    "hours": "hours",
    "device": "device",
    "commit": "commit of the recipe",
    "versions": "libraries",
    "date": "date",
}
"""Provenance that every card states beside the teacher, and its title."""
ELSEWHERE = ("teacher", "teachers", "command", "settings", "started_from", "scores", "device_hours")
"""Of the provenance, which the card states in places of their own."""
OPTIMIZER = (
    "AdamW, betas 0.9 and 0.999, no weight decay on norm parameters and biases. The learning rate rises linearly over "
    "`warmup_share` of\nthe steps, then falls to 0 by a cosine."
)
"""Of `distillation/train.py`, what no setting says."""
ABOUT_A_SCORECARD = ("encoder", "queries", "weights_sha256", "command", "commit")
ACCURACIES = {
    "knn10_percent": "10-NN accuracy, %",
    "knn20_percent": "20-NN accuracy, %",
    "linear_probe_percent": "linear probe accuracy, %",
}
"""Entries of a scorecard that the Hub's model-index has a metric for."""


def model_card(
    config: CheckpointConfig,
    *,
    parameters: int,
    source: str,
    revision: str | None,
    scorecards: Sequence[Mapping[str, Any]],
    plots: Sequence[str],
    datasets: Sequence[str],
    license_id: str,
    license_terms: str | None,
    limits: str | None,
) -> str:
    """README.md of a checkpoint on the Hub: the metadata block and the text.

    Args:
        config: with a provenance that `require_provenance` accepts; what else it may hold is "not recorded".
        parameters: number of the encoder's, without the teacher head.
        source: what `from_pretrained` is given in the example: "org/name", or the name of a folder.
        revision: branch or tag that the example names.
        scorecards: the JSON objects that `xdistill scorecard` wrote.
        plots: paths of pictures, relative to the card.
        datasets: Hub ids of the images.
        license_id: the Hub's name of the licence.
        license_terms: Markdown; None says that none were stated.
        limits: Markdown that is added to what follows from the settings.

    Raises:
        ValueError: see `check_card`.
    """
    sections = [
        f"# {config.name}",
        _summary(config, parameters),
        _use(config, source, revision),
        "## What made it\n\n" + _made_by(config),
        *_origins(config.provenance),
        "## Scores\n\n" + _scores(scorecards),
        *(f"![{path.rpartition('/')[2]}]({path})" for path in plots),
        "## Limits\n\n" + _limits(config, limits),
        "## Licence terms\n\n" + (license_terms or _no_terms()).strip(),
    ]
    metadata = _metadata(config, scorecards, datasets, license_id).to_yaml()
    text = f"---\n{metadata}\n---\n" + "\n\n".join(sections) + "\n"
    check_card(text)
    return text


def check_card(text: str) -> None:
    """Check the metadata block of a card without a network.

    Raises:
        ValueError: no metadata, one that the Hub's client cannot read, entries missing or of another form.
    """
    if not re.match(r"---\r?\n", text):
        raise ValueError("card: expected a metadata block between two lines of --- at its top")
    try:
        ModelCard(text)  # reads model-index
        entries = RepoCard(text).data.to_dict()  # as written: ModelCard makes one tag of each letter of a text
    except Exception as error:  # of the YAML parser, which huggingface_hub passes on
        raise ValueError(f"card: its metadata block is not readable ({' '.join(str(error).split())})") from error
    texts = ("license", "library_name")
    wrong = [f"{name} {entries.get(name)!r} (expected text)" for name in texts if not _is_text(entries.get(name))]
    for name in ("tags", "datasets"):
        values = entries.get(name, [])
        if not isinstance(values, list) or not all(map(_is_text, values)):
            wrong.append(f"{name} {values!r} (expected a list of text)")
        elif name == "datasets":
            wrong += [f"datasets {value!r} (expected 'org/name')" for value in values if not HUB_ID.fullmatch(value)]
    if wrong:
        raise ValueError(f"card: its metadata block has {'; '.join(wrong)}")


def _metadata(
    config: CheckpointConfig, scorecards: Sequence[Mapping[str, Any]], datasets: Sequence[str], license_id: str
) -> ModelCardData:
    origin = config.provenance.get("started_from", {}).get("hub", "")
    results = [
        EvalResult(
            task_type="image-classification",
            task_name="Image classification on frozen features",
            dataset_type=re.sub(r"[^\w.-]+", "-", str(scorecard["queries"])),
            dataset_name=str(scorecard["queries"]),
            metric_type="accuracy",
            metric_name=title,
            metric_value=scorecard[entry],
            metric_args={"image_size_px": scorecard.get("image_size_px")},
        )
        for scorecard in scorecards
        for entry, title in ACCURACIES.items()
        if scorecard.get(entry) is not None and "queries" in scorecard
    ]
    return ModelCardData(
        license=license_id,
        library_name="xdistill-encoder",
        pipeline_tag="image-feature-extraction",
        tags=["robotics", "knowledge-distillation", "resnet", "pytorch"],
        base_model=origin if HUB_ID.fullmatch(origin) else None,  # the teacher is none: no weight derives from it
        datasets=list(datasets) or None,
        model_name=config.name if results else None,
        eval_results=results or None,
    )


def _summary(config: CheckpointConfig, parameters: int) -> str:
    head = f", and a linear layer 512 -> {config.teacher_features}" if config.teacher_features else ""
    return (
        f"An image encoder for robot policies: ResNet-18 with {config.norm} norm ({parameters:,} parameters{head}),\n"
        f"into which the embedding of a larger vision model was distilled: {_text(config.provenance.get('teacher'))}.\n"
        "The method is X-Distill (arXiv 2601.11269)."
    )


def _use(config: CheckpointConfig, source: str, revision: str | None) -> str:
    arguments = [f'"{source}"']
    arguments += [f'revision="{revision}"'] if revision else []
    arguments += ['norm="frozen"'] if config.norm == "batch" else []
    return (
        "```python\n"
        "import torch\n"
        "from xdistill_encoder import XDistillResNet18  # its README says how to install it\n\n"
        f"encoder = XDistillResNet18.from_pretrained({', '.join(arguments)})\n"
        "images = torch.zeros(1, 3, 96, 96, dtype=torch.uint8)  # RGB, uint8 in [0, 255] or float in [0, 1]\n"
        "features = encoder(images)  # (1, 512)\n"
        "```"
    )


def _made_by(config: CheckpointConfig) -> str:
    provenance = config.provenance
    rows = _teacher_rows(provenance) + [(title, _text(provenance.get(name))) for name, title in FACTS.items()]
    hours, processes = provenance.get("hours"), provenance.get("processes")
    device_hours = provenance.get("device_hours")  # the product is another where processes changed in between
    if device_hours is None and hours is not None and processes is not None:
        device_hours = hours * processes
    if device_hours is not None:
        rows.append(("device-hours", _text(round(device_hours, 2))))
    rows += [(name, _text(value)) for name, value in provenance.items() if name not in (*FACTS, *ELSEWHERE)]
    rows.append(("sha256 of model.safetensors", config.weights_sha256))
    return (
        f"{_table(('', ''), rows)}\n\n"
        f"```\n{provenance['command']}\n```\n\n"
        f"{OPTIMIZER} Settings:\n\n{_settings(provenance)}"
    )


def _settings(provenance: Mapping[str, Any]) -> str:
    lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in provenance["settings"].items()]
    return "```\n" + "\n".join(lines) + "\n```"


def _teacher_rows(provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for teacher in provenance.get("teachers") or [{"name": provenance.get("teacher")}]:
        recorded = {name: value for name, value in teacher.items() if value is not None}
        facts = {"revision": None, "fingerprint": None} | recorded
        rows.append(("teacher", _text(facts.pop("name", None))))
        rows += [(f"its {name.replace('_', ' ')}", _text(value)) for name, value in facts.items()]
    return rows


def _origins(provenance: Mapping[str, Any]) -> Iterable[str]:
    """One section for each checkpoint from which training started, the latest first."""
    while origin := provenance.get("started_from"):
        provenance = origin.get("provenance", {})
        rows = _teacher_rows(provenance)
        rows += [(title, _text(provenance[name])) for name, title in FACTS.items() if name in provenance]
        rows.append(("sha256 of its weights", _text(origin.get("weights_sha256"))))
        command = provenance.get("command", NOT_RECORDED)
        settings = f"\n\nSettings:\n\n{_settings(provenance)}" if "settings" in provenance else ""
        yield (
            f"## Started from {_text(origin.get('name'))}\n\n{_table(('', ''), rows)}\n\n```\n{command}\n```{settings}"
        )


def _scores(scorecards: Sequence[Mapping[str, Any]]) -> str:
    if not scorecards:
        return "Not measured."
    entries = [
        name for name in dict.fromkeys(name for card in scorecards for name in card) if name not in ABOUT_A_SCORECARD
    ]
    entries = [name for name in entries if any(card.get(name) is not None for card in scorecards)]
    header = ("", *(_text(card.get("queries", "recorded with the weights")) for card in scorecards))
    rows = [(name, *("" if card.get(name) is None else _text(card[name]) for card in scorecards)) for name in entries]
    commands = [f"{card['command']}  # commit {_text(card.get('commit'))}" for card in scorecards if "command" in card]
    measured = "\n\n```\n" + "\n".join(commands) + "\n```" if commands else ""
    return _table(header, rows) + measured


def _limits(config: CheckpointConfig, more: str | None) -> str:
    settings, lines = config.provenance["settings"], []
    if (size_px := settings.get("image_size")) is not None:
        first_px = settings.get("first_image_size") or size_px
        sizes = f"{size_px} px" if first_px == size_px else f"{min(first_px, size_px)} to {max(first_px, size_px)} px"
        lines.append(f"- Trained on views of {sizes}; features of much larger or smaller images are worth less.")
    lines += [
        "- What the teacher does not tell apart or the images do not show was not learned; their biases were.",
        "- Scores on images say little about control: measure it in your policy.",
    ]
    if config.norm == "group":
        lines.append("- Trained with group norm: batch norm in its place ruins the weights.")
    return "\n".join(lines) + (f"\n\n{more.strip()}" if more else "")


def _no_terms() -> str:
    return "None were stated. The terms of the images and of the teacher apply."


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _text(value: object) -> str:
    """A fact on one line."""
    if value is None:
        return NOT_RECORDED
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int) and abs(value) >= 10_000:
        return f"{value:,}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(entry)}" for name, entry in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value))
    return " ".join((value if isinstance(value, str) else json.dumps(value)).split())


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""
