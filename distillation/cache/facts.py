"""What the embeddings of a cache are a function of."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from distillation.teachers import Teacher
from distillation.views import Augmentation

FORMAT = 1
NOT_COMPARED = ("sources", "made")
LATER = ("mean", "std")
"""Of a teacher: what the first caches do not tell."""


@dataclass(frozen=True)
class TeacherFacts:
    """One teacher; in what a run asks for, None is any."""

    name: str
    revision: str | None = None
    """The commit of its files on the Hub."""
    pinned: str | None = None
    """The revision that the spec names: a commit, tag or branch."""
    fingerprint: str | None = None
    """Of its weights."""
    image_size: int | None = None
    """Side of its views in px."""
    interpolation: str | None = None
    embedding: str | None = None
    """ "cls" or "avg"."""
    width: int | None = None
    """Of its embedding."""
    patch_width: int | None = None
    """Of its patch tokens."""
    mean: tuple[float, ...] | None = None
    """With `std`: by which it normalises channels in [0, 1]; None of what was made before they were kept."""
    std: tuple[float, ...] | None = None

    @property
    def identity(self) -> tuple[object, ...]:
        """What its embeddings depend on, wherever its weights lie and whatever they are called."""
        return self.fingerprint, self.image_size, self.interpolation, self.embedding, self.width

    @property
    def normalisation(self) -> tuple[object, ...] | None:
        """Of its identity what was not always kept; None: unknown."""
        return None if self.mean is None else (self.mean, self.std)

    def differences(self, wanted: "TeacherFacts") -> list[str]:
        """What differs from the teacher that a run asks for; the same weights may have another name and commit."""
        found, asked = asdict(self), asdict(wanted)
        if wanted.fingerprint is not None and wanted.fingerprint == self.fingerprint:
            del asked["name"]
        del asked["revision"], asked["pinned"]
        differing = [
            f"{key} was {found[key]}, is {value}"
            for key, value in asked.items()
            if value is not None and found[key] != value and not (key in LATER and found[key] is None)
        ]
        if wanted.pinned and not (wanted.pinned == self.pinned or (self.revision or "").startswith(wanted.pinned)):
            differing.append(f"revision was {self.pinned or self.revision}, is {wanted.pinned}")
        return differing


@dataclass(frozen=True)
class Facts:
    """A cache's, or those that a run asks for; in the latter, None is any."""

    images_fingerprint: str
    images_count: int
    seed: int
    views: int | None
    """Views an image."""
    augmentation: Augmentation
    teachers: tuple[TeacherFacts, ...]
    """Their embeddings lie side by side in one column, in this order."""
    shard_rows: int | None = None
    """Rows of each shard but the last of a view."""
    patch_grid: int | None = None
    """The first teacher's patch tokens are kept as a map of this height and width; None: not kept."""
    precision: str | None = None
    """Of the teachers' forward pass: "bf16", "fp16" or "no"."""
    sources: tuple[str, ...] = ()
    """Names of the images, for people."""
    made: dict[str, Any] = field(default_factory=dict)
    """Command, date, commit, versions and the split of a Hub dataset, for people."""

    @property
    def width(self) -> int:
        """Features of all teachers' embeddings together."""
        return sum(teacher.width or 0 for teacher in self.teachers)

    @property
    def patch_shape(self) -> tuple[int, int, int] | None:
        """(P, height, width) of the first teacher's patch tokens; None: not kept."""
        if self.patch_grid is None:
            return None
        return self.teachers[0].patch_width or 0, self.patch_grid, self.patch_grid

    def differences(self, wanted: "Facts") -> list[str]:
        """What differs from the facts that a run asks for: "seed was 0, is 1"."""
        found, asked = (
            _flat({key: value for key, value in asdict(facts).items() if key not in (*NOT_COMPARED, "teachers")})
            for facts in (self, wanted)
        )
        differing = [
            f"{name} was {found.get(name)}, is {value}"
            for name, value in asked.items()
            if value is not None and found.get(name) != value
        ]
        if len(self.teachers) != len(wanted.teachers):
            return [*differing, f"teachers were {_names(self.teachers)}, are {_names(wanted.teachers)}"]
        for teacher, other in zip(self.teachers, wanted.teachers, strict=True):
            differing += [f"teacher {other.name}: {text}" for text in teacher.differences(other)]
        return differing

    def to_json(self) -> dict[str, Any]:
        """As plain values; `from_json` gives them back."""
        return {"format": FORMAT} | asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Facts":
        """Facts from plain values.

        Raises:
            ValueError: of another format, or with other names than this version knows.
        """
        values = dict(values)
        if (found := values.pop("format", None)) != FORMAT:
            raise ValueError(f"format: expected {FORMAT}, got {found}; another version of this recipe reads it")
        known = {item.name for item in fields(cls)}
        if values.keys() != known:
            raise ValueError(f"expected {', '.join(sorted(known))}, got {', '.join(sorted(values))}")
        try:
            augmentation = Augmentation(**values.pop("augmentation"))
            teachers = tuple(TeacherFacts(**_with_tuples(teacher)) for teacher in values.pop("teachers"))
        except TypeError as error:
            raise ValueError(f"augmentation, teachers: {error}") from error
        return cls(augmentation=augmentation, teachers=teachers, sources=tuple(values.pop("sources")), **values)


def describe_teacher(teacher: Teacher, spec: str = "") -> TeacherFacts:
    """A teacher that is loaded; `spec` is what it was loaded by, for the revision that it pins."""
    return TeacherFacts(
        name=teacher.name,
        revision=teacher.revision,
        pinned=_split(spec)[1],
        fingerprint=teacher.fingerprint,
        image_size=teacher.image_size,
        interpolation=teacher.interpolation,
        embedding=teacher.embedding,
        width=teacher.num_features,
        patch_width=teacher.num_patch_features,
        mean=tuple(teacher.preprocessing.mean),
        std=tuple(teacher.preprocessing.std),
    )


def asked_teacher(spec: str, image_size: int | None = None, embedding: str | None = None) -> TeacherFacts:
    """A teacher that is not loaded, by its spec: name, and the revision that it pins; None: any."""
    path, pinned = _split(spec)
    if path.is_dir():
        path = path.resolve()  # as a loaded one is called
    return TeacherFacts(name=path.name, pinned=pinned, image_size=image_size, embedding=embedding)


def _with_tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON's lists as the tuples that they were."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}


def _split(spec: str) -> tuple[Path, str | None]:
    """A teacher's spec without its revision, which only those on the Hub have."""
    if not spec.startswith(("timm/", "hf/")):
        return Path(spec.removeprefix("local-dir:")), None
    path, _, revision = spec.partition("@")
    return Path(path), revision or None


def _names(teachers: Sequence[TeacherFacts]) -> str:
    return ", ".join(teacher.name for teacher in teachers)


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """Nested dicts -> {"augmentation.flip": value}."""
    if not isinstance(value, dict):
        return {name: value}
    return {
        key: leaf for part, inner in value.items() for key, leaf in _flat(inner, f"{name}.{part}".strip(".")).items()
    }
