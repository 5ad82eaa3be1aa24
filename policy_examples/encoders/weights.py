"""Pretrained weights of other projects: Hub repository or local folder -> files, tensors."""

from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from xdistill_encoder.checkpoints import HUB_ID
from xdistill_encoder.hub import on_one_line, transfer_errors

FILE = "model.safetensors"


@dataclass(frozen=True)
class Weights:
    """Where an encoder's weights are published.

    Attributes:
        encoder: the encoder under comparison that starts from them.
        repo_id: their repository on the Hugging Face Hub.
        files: what it must hold of them.
    """

    encoder: str
    repo_id: str
    files: tuple[str, ...] = (FILE,)


def find_weights(published: Weights, checkpoint: str | None) -> tuple[dict[str, Tensor], str]:
    """The tensors of model.safetensors, and where they came from; arguments and errors are those of `find_folder`."""
    folder, origin = find_folder(published, checkpoint)
    try:
        return load_file(folder / FILE), origin
    except (OSError, SafetensorError) as error:
        raise ValueError(
            f"checkpoint: {folder / FILE} is not readable as safetensors ({error}); {_remedy(published)}."
        ) from error


def find_folder(published: Weights, checkpoint: str | None) -> tuple[Path, str]:
    """The folder that holds the files, and where it came from: its name as given, or "org/name@commit".

    Args:
        checkpoint: a folder that holds the files, or "org/name" on the Hub, with "@<branch, tag or commit>" if need be;
            None: where they are published.

    Raises:
        ValueError: no such folder or repository, no connection, a file that is missing there.
    """
    if checkpoint is not None and Path(checkpoint).expanduser().is_dir():
        folder = Path(checkpoint).expanduser()
        for file in published.files:
            if not (folder / file).is_file():
                raise ValueError(f"checkpoint: {checkpoint} holds no {file}; {_remedy(published)}.")
        return folder, checkpoint
    repo_id, _, revision = (checkpoint or published.repo_id).partition("@")
    if not HUB_ID.fullmatch(repo_id):
        raise ValueError(
            f"checkpoint: expected a folder or 'org/name' on the Hub, got {checkpoint!r}; {_remedy(published)}."
        )
    for file in published.files:
        folder = _download(published, repo_id, file, revision or None).parent
        revision = folder.name  # .../snapshots/<commit>, of which the other files must be too
    return folder, f"{repo_id}@{revision}"


def _download(published: Weights, repo_id: str, file: str, revision: str | None) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repo_id, file, revision=revision))
    except (*transfer_errors(), ValueError) as error:
        raise ValueError(
            f"checkpoint: the weights of {published.encoder}, {repo_id} on the Hugging Face Hub, cannot be downloaded "
            f"({_reason(error, file)}); {_remedy(published)}."
        ) from error


def _reason(error: BaseException, file: str) -> str:
    """Why a download failed, in a few words."""
    from huggingface_hub import errors

    if isinstance(error, errors.LocalEntryNotFoundError):
        return "the Hub cannot be reached, and its local cache lacks them"
    if isinstance(error, errors.GatedRepoError):
        return "access is gated: ask for it there, then `hf auth login`"
    if isinstance(error, errors.RepositoryNotFoundError):
        return "there is no such repository, or it is private"
    if isinstance(error, errors.RevisionNotFoundError):
        return "it has no such revision"
    if isinstance(error, errors.EntryNotFoundError):
        return f"it holds no {file}"
    return on_one_line(error)


def _remedy(published: Weights) -> str:
    fetch = f"hf download {published.repo_id} {' '.join(published.files)} --local-dir FOLDER"
    return f"where there is a connection, `{fetch}` fetches them, and checkpoint=FOLDER loads them anywhere"
