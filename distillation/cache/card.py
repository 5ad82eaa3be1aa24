"""The dataset card of a published teacher cache."""

import shlex
from dataclasses import replace

from distillation.cache.facts import Facts
from distillation.views import AUGMENTATIONS, Augmentation

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
SIZES += ((10**7, "1M<n<10M"), (10**8, "10M<n<100M"))


def size_category(rows: int) -> str:
    """The Hub's category of a number of rows."""
    return next((category for limit, category in SIZES if rows < limit), "100M<n<1B")


def command(facts: Facts, repo_id: str) -> str:
    """The line that trains from a cache without running its teacher."""
    sizes = {teacher.image_size for teacher in facts.teachers}
    size = str(sizes.pop()) if len(sizes) == 1 else "None"  # each teacher's own
    preset = next((name for name, drawn in AUGMENTATIONS.items() if _same_but_scale(drawn, facts.augmentation)), None)
    words = ["xdistill", "distill", "--targets", repo_id, "--verify-targets", "0", "--images", *facts.sources]
    split = facts.made.get("split", "train")
    words += [] if split == "train" else ["--split", split]
    words += ["--teacher", *(teacher.name for teacher in facts.teachers)]
    words += ["--teacher-image-size", size, "--embedding", str(facts.teachers[0].embedding)]
    words += ["--seed", str(facts.seed), "--min-scale", str(facts.augmentation.min_scale)]
    words += ["--augmentation", preset] if preset else []
    return shlex.join(words)


def _same_but_scale(one: Augmentation, other: Augmentation) -> bool:
    return replace(one, min_scale=other.min_scale) == other


def cache_card(facts: Facts, repo_id: str) -> str:
    """README.md of a cache: metadata, what it holds, how to train from it, whose terms apply."""
    return "\n".join((_metadata(facts), _usage(facts, repo_id), _contents(facts), _terms(facts)))


def _metadata(facts: Facts) -> str:
    views = facts.views or 0
    splits = "\n".join(f"  - split: view_{view:03}\n    path: view-{view:03}/shard-*.parquet" for view in range(views))
    return f"""---
license: other
license_name: terms-of-images-and-teacher
pretty_name: Embeddings by {_teachers(facts)}
task_categories:
- image-feature-extraction
tags:
- knowledge-distillation
- embeddings
- xdistill-encoder
size_categories:
- {size_category(facts.images_count * views)}
configs:
- config_name: default
  data_files:
{splits}
---
"""


def _usage(facts: Facts, repo_id: str) -> str:
    return f"""# {facts.views or 0} views of {facts.images_count:,} images, embedded by {_teachers(facts)}

A teacher cache of xdistill-encoder: with it a student is distilled on one
GPU without running the teacher. It holds no images; the same images are needed to train.

```
{command(facts, repo_id)}
```

The run is refused where its images are others. In Python:

```python
from distillation.cache.store import TargetCache

cache = TargetCache.open("{repo_id}")
embeddings = cache.read(view=0, indices=[0, 1, 2])  # (3, {facts.width}) float32
```
"""


def _contents(facts: Facts) -> str:
    teachers = "\n".join(
        f"| {teacher.name} | {teacher.revision or '-'} | {teacher.fingerprint} | {teacher.embedding} | "
        f"{teacher.width} | {teacher.image_size} px, {teacher.interpolation} |"
        for teacher in facts.teachers
    )
    patches = "" if facts.patch_shape is None else f", patch tokens pooled to {facts.patch_shape} (`patches`)"
    return f"""## What it holds

Each row of a view is one image: `index`; `valid`, false where the image could not be read; the view's crop box in px of
the source, flip, colour factors and blur; `embedding`, {facts.width} float16 numbers{patches}.

| teacher | revision | fingerprint of the weights | embedding | width | input |
| --- | --- | --- | --- | --- | --- |
{teachers}

| fact | value |
| --- | --- |
| images | {_sources(facts)}, {facts.images_count:,}, fingerprint {facts.images_fingerprint} |
| views an image | {facts.views or 0}, seed {facts.seed} |
| augmentation | {facts.augmentation} |
| forward pass | {facts.precision} |
| commit of the recipe | {facts.made.get("commit") or "-"} |
| libraries | {facts.made.get("versions") or "-"} |
| device | {facts.made.get("device") or "-"} |
| date | {facts.made.get("date") or "-"} |
"""


def _terms(facts: Facts) -> str:
    return f"""## Licence terms

The embeddings derive from the images and from the teacher's weights: the terms of both apply to them, and to what is
trained from them. Read those of {_sources(facts)} and of {_teachers(facts)} before use.
"""


def _teachers(facts: Facts) -> str:
    return " + ".join(teacher.name for teacher in facts.teachers)


def _sources(facts: Facts) -> str:
    return " ".join(facts.sources) or "<the images>"
