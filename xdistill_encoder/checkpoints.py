"""Where weights live: bundled name, folder or Hub id <-> config.json with model.safetensors."""

import re
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast, get_args

from torch import Tensor

from xdistill_encoder.checkpoint_config import CONFIG_FILE, CheckpointConfig, CheckpointError, read_config
from xdistill_encoder.checkpoint_weights import (
    WEIGHTS_FILE,
    fill,
    read_weights,
    require_same_tensors,
    save_checkpoint,
)
from xdistill_encoder.hub import download, plain_card, upload
from xdistill_encoder.norms import Norm, norm_layer, share_weights

__all__ = [
    "CheckpointConfig",
    "CheckpointError",
    "bundled_checkpoints",
    "fill",
    "load_checkpoint",
    "local_config",
    "plain_card",
    "read_config",
    "require_same_tensors",
    "save_checkpoint",
    "temporary_folder",
    "upload",
]

WEIGHTS_FOLDER = Path(__file__).parent / "weights"
DEFAULT_NORM: Norm = "batch"
DEFAULT_CHECKPOINTS: dict[Norm, str] = {
    "batch": "resnet18-bn-vit-ti16-augreg-97k",
    "group": "resnet18-gn-vit-ti16-augreg-97k",
}
"""The bundled checkpoint that is meant where none is named, by the norm it was trained with."""
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def bundled_checkpoints() -> dict[str, CheckpointConfig]:
    """The checkpoints inside this package, by name; they load offline."""
    folders = [WEIGHTS_FOLDER / name for name in _bundled_names()]
    return {folder.name: read_config(folder / CONFIG_FILE, _remedy(folder)) for folder in folders}


def load_checkpoint(
    name_or_path: str | Path | None,
    *,
    norm: Norm | None = None,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
) -> tuple[CheckpointConfig, dict[str, Tensor]]:
    """Find, read and verify a checkpoint; arguments as in `XDistillResNet18.from_pretrained`.

    Looks for a bundled name, then for a folder, then on the Hub; a `Path` is a folder.

    Raises:
        CheckpointError: see `XDistillResNet18.from_pretrained`.
        ValueError: unknown norm.
    """
    if norm is not None:
        norm_layer(norm)  # raises for an unknown name, before anything is downloaded
    if name_or_path is None:
        name_or_path = _default_name(norm or DEFAULT_NORM)
        folder = WEIGHTS_FOLDER / name_or_path
    else:
        folder = _local_folder(name_or_path)
    if folder is not None:
        if revision is not None:
            raise CheckpointError(
                f"revision: {revision!r} was asked for, and {str(name_or_path)!r} is {folder}, which has no revisions; "
                "leave revision out, or rename a folder that hides the Hub repository of that name"
            )
        return _read_folder(folder, norm)

    fetch = partial(
        download,
        _hub_id(name_or_path),
        cache_dir=cache_dir,
        token=token,
        local_files_only=local_files_only,
        offline=_list(_bundled_names()),
    )
    config_file = fetch(CONFIG_FILE, revision)
    config = read_config(config_file, _delete(config_file))
    _check_norm(config, norm)
    weights_file = fetch(WEIGHTS_FILE, config_file.parent.name)  # of the same commit, whatever is pushed meanwhile
    return config, read_weights(weights_file, config, _delete(weights_file))


def _read_folder(folder: Path, norm: Norm | None) -> tuple[CheckpointConfig, dict[str, Tensor]]:
    """Its configuration with the weights that belong to it, though a training may save there meanwhile."""
    config = read_config(folder / CONFIG_FILE, _remedy(folder))
    _check_norm(config, norm)
    try:
        return config, read_weights(folder / WEIGHTS_FILE, config, _remedy(folder))
    except CheckpointError:
        replaced = read_config(folder / CONFIG_FILE, _remedy(folder))
        if replaced == config:
            raise
    _check_norm(replaced, norm)
    return replaced, read_weights(folder / WEIGHTS_FILE, replaced, _remedy(folder))


def local_config(name_or_path: str | Path | None, norm: Norm = DEFAULT_NORM) -> CheckpointConfig | None:
    """config.json of a bundled name (None: the default for this norm) or of a folder; None of a name on the Hub.

    Raises:
        CheckpointError: no name, folder or Hub id; a damaged or foreign config.json.
    """
    folder = _local_folder(_default_name(norm) if name_or_path is None else name_or_path)
    if folder is None:
        assert name_or_path is not None  # the default is bundled
        _hub_id(name_or_path)  # raises where it is none
        return None
    return read_config(folder / CONFIG_FILE, _remedy(folder))


def temporary_folder() -> AbstractContextManager[str]:
    """A folder that goes when the context ends."""
    return TemporaryDirectory(prefix="xdistill-")


def _bundled_names() -> list[str]:
    return sorted(path.parent.name for path in WEIGHTS_FOLDER.glob(f"*/{CONFIG_FILE}"))


def _default_name(norm: Norm) -> str:
    return next(name for trained, name in DEFAULT_CHECKPOINTS.items() if share_weights(norm, trained))


def _local_folder(name_or_path: str | Path) -> Path | None:
    """The folder of a bundled name or of a path; None where it is neither."""
    if not isinstance(name_or_path, (str, Path)):
        raise CheckpointError(
            "name_or_path: expected a bundled name, a folder, 'org/name' on the Hub or None, "
            f"got {type(name_or_path).__name__}"
        )
    if name_or_path in _bundled_names():
        return _bundled_folder(str(name_or_path))
    try:
        path = Path(name_or_path).expanduser()
    except RuntimeError as error:
        raise CheckpointError(f"no folder {str(name_or_path)!r}: {error}") from error
    try:
        is_file = path.is_file()
    except OSError as error:  # a name that no file can have
        raise CheckpointError(f"no checkpoint named {str(name_or_path)!r}: {error.strerror}") from error
    if is_file:
        raise CheckpointError(
            f"{path} is a file; give the folder that holds {CONFIG_FILE} with {WEIGHTS_FILE}: {str(path.parent)!r}"
        )
    return path if path.is_dir() and name_or_path != "" else None


def _bundled_folder(name: str) -> Path:
    """Of a bundled name; raises CheckpointError where a folder here, perhaps of a user's own weights, has it too."""
    bundled, here = WEIGHTS_FOLDER / name, Path(name)
    if here.is_dir() and not here.samefile(bundled):
        raise CheckpointError(
            f"{name} is a bundled checkpoint, and a folder here; say './{name}' for the folder, or rename it"
        )
    return bundled


def _hub_id(name_or_path: str | Path) -> str:
    if isinstance(name_or_path, str) and HUB_ID.fullmatch(name_or_path):
        return name_or_path
    if isinstance(name_or_path, Path):
        raise CheckpointError(f"no folder {str(name_or_path)!r}; a name on the Hub is given as text, not as a Path")
    if name_or_path in get_args(Norm):
        raise CheckpointError(
            f"no checkpoint named {name_or_path!r}; the norm is another argument: norm={name_or_path!r}, and "
            f"{_default_name(cast(Norm, name_or_path))} the bundled checkpoint for it"
        )
    raise CheckpointError(
        f"no checkpoint named {str(name_or_path)!r}: bundled are {_list(_bundled_names())}; "
        "otherwise give an existing folder, or 'org/name' on the Hugging Face Hub"
    )


def _remedy(folder: Path) -> str:
    """How to get the damaged files of a folder again."""
    if folder.parent == WEIGHTS_FOLDER:
        return "install the package again, from where it came: pip install --force-reinstall --no-deps ..."
    return "copy the whole folder again"


def _delete(file: Path) -> str:
    """How to get a damaged file of the Hub's cache again: it is a link, the damaged content is what must go."""
    return f"delete {file.resolve()} and load again, which downloads it anew"


def _check_norm(config: CheckpointConfig, asked: Norm | None) -> None:
    if asked is None or share_weights(asked, config.norm):
        return
    fitting = [name for name, bundled in bundled_checkpoints().items() if share_weights(asked, bundled.norm)]
    raise CheckpointError(
        f"checkpoint {config.name} was trained with norm={config.norm!r} and norm={asked!r} was asked for: "
        "a swap ruins the weights, because batch norm and group norm divide by different statistics; "
        f"load it with norm={config.norm!r}, or a checkpoint trained with {asked!r} (bundled: {_list(fitting)})"
    )


def _list(names: list[str]) -> str:
    return ", ".join(names) or "none"
