"""Where a teacher's files lie: spec -> folder with config.json and safetensors."""

import json
from pathlib import Path
from typing import NamedTuple

from xdistill_encoder.hub import on_one_line, transfer_errors

ACCEPTED = "'timm/<model>', 'hf/<org>/<name>', either with '@<revision>', or a folder saved by timm or transformers"
CONFIG_FILES = ("config.json", "preprocessor_config.json", "processor_config.json")
WEIGHTS_FILES = ("model.safetensors", "model-*.safetensors", "model.safetensors.index.json")


class TeacherFiles(NamedTuple):
    """A teacher on the disk.

    Attributes:
        folder: with config.json and model.safetensors, whole or in shards.
        name: how results refer to the teacher; without slashes.
        revision: the commit on the Hub, None of a folder.
        config: the entries of config.json.
    """

    folder: Path
    name: str
    revision: str | None
    config: dict


def find_teacher(spec: str) -> TeacherFiles:
    """The files of a teacher, downloaded into the Hub's cache where the spec names a repository.

    Raises:
        ValueError: a spec of unknown form, an unknown model, a folder without config.json or safetensors.
        OSError: the Hub cannot be reached, or refuses access.
    """
    kind, _, rest = spec.partition("/")
    if kind in ("timm", "hf"):
        repository, _, revision = rest.partition("@")
        if kind == "timm":
            repository = _timm_repository(spec, repository)
        elif repository.count("/") != 1:
            raise ValueError(f"teacher {spec!r}: expected {ACCEPTED}")
        folder = _download(spec, repository, revision or None)
        name, commit = (rest.partition("@")[0].rpartition("/")[2], folder.name)
    else:
        folder, commit = Path(spec.removeprefix("local-dir:")).expanduser(), None
        if not folder.is_dir():
            raise ValueError(f"teacher {spec!r}: expected {ACCEPTED}; there is no folder {folder.absolute()}")
        name = folder.resolve().name
    return TeacherFiles(folder, name, commit, _read_config(spec, folder))


def _timm_repository(spec: str, model: str) -> str:
    """The Hub repository in which timm publishes a model's weights."""
    import timm
    from timm.models import get_pretrained_cfg

    if not timm.is_model(model):
        close = timm.list_models(f"*{model.split('.')[0]}*")[:5]
        raise ValueError(f"teacher {spec!r}: timm knows no such model; close: {', '.join(close) or 'none'}")
    try:
        config = get_pretrained_cfg(model)
    except RuntimeError as error:
        tags = timm.list_pretrained(f"{model.split('.')[0]}.*")
        raise ValueError(f"teacher {spec!r}: timm knows no such weights; it has {', '.join(tags) or 'none'}") from error
    if config is None or not config.hf_hub_id:
        raise ValueError(f"teacher {spec!r}: timm publishes no weights of it; give a folder that has them")
    return config.hf_hub_id


def _download(spec: str, repository: str, revision: str | None) -> Path:
    """The folder .../snapshots/<commit> in the Hub's cache with the files that a teacher needs."""
    from huggingface_hub import errors, snapshot_download

    offline = "a folder with the teacher's files works offline: give its path"
    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=[*CONFIG_FILES, *WEIGHTS_FILES]))
    except errors.HFValidationError as error:
        raise ValueError(f"teacher {spec!r}: {repository!r} is no name that the Hub accepts; {offline}") from error
    except errors.GatedRepoError as error:
        raise OSError(
            f"teacher {spec!r}: access to {repository} is gated; ask for it on the Hub, then `hf auth login`"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise ValueError(
            f"teacher {spec!r}: the Hub has no repository {repository} (a private one needs `hf auth login`); {offline}"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ValueError(f"teacher {spec!r}: {repository} has no revision {revision!r}") from error
    except transfer_errors() as error:
        raise OSError(
            f"teacher {spec!r}: {repository} could not be downloaded ({on_one_line(error)}); {offline}"
        ) from error


def _read_config(spec: str, folder: Path) -> dict:
    path = folder / "config.json"
    if not path.is_file():
        raise ValueError(f"teacher {spec!r}: {folder.absolute()} has no config.json; expected {ACCEPTED}")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"teacher {spec!r}: {path} is not readable as JSON ({error}); copy the folder again"
        ) from error
    if not any(found for pattern in WEIGHTS_FILES[:2] for found in folder.glob(pattern)):
        others = sorted(file.name for file in folder.iterdir() if file.suffix in (".bin", ".pt", ".pth", ".npz"))
        raise ValueError(
            f"teacher {spec!r}: {folder.absolute()} has no model.safetensors (of other weights: "
            f"{', '.join(others) or 'none'}); pickled weights are never opened, save them as safetensors"
        )
    return config
