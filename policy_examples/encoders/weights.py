"""Pretrained weights of other projects: Hub repository or local folder -> tensors."""

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
        repo_id: their repository on the Hugging Face Hub, which holds them as model.safetensors.
    """

    encoder: str
    repo_id: str


def find_weights(published: Weights, checkpoint: str | None) -> tuple[dict[str, Tensor], str]:
    """The tensors of model.safetensors, and where they came from: the folder, or "org/name@commit".

    Args:
        checkpoint: a folder that holds the file, or "org/name" on the Hub, with "@<branch, tag or commit>" if need be;
            None: where they are published.

    Raises:
        ValueError: no such folder or repository, no connection, a damaged file.
    """
    if checkpoint is not None and Path(checkpoint).expanduser().is_dir():
        file = Path(checkpoint).expanduser() / FILE
        origin = checkpoint
        if not file.is_file():
            raise ValueError(f"checkpoint: {checkpoint} holds no {FILE}; {_remedy(published)}.")
    else:
        repo_id, _, revision = (checkpoint or published.repo_id).partition("@")
        if not HUB_ID.fullmatch(repo_id):
            raise ValueError(
                f"checkpoint: expected a folder or 'org/name' on the Hub, got {checkpoint!r}; {_remedy(published)}."
            )
        file = _download(published, repo_id, revision or None)
        origin = f"{repo_id}@{file.parent.name}"  # .../snapshots/<commit>/model.safetensors
    try:
        return load_file(file), origin
    except (OSError, SafetensorError) as error:
        raise ValueError(
            f"checkpoint: {file} is not readable as safetensors ({error}); {_remedy(published)}."
        ) from error


def _download(published: Weights, repo_id: str, revision: str | None) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repo_id, FILE, revision=revision))
    except (*transfer_errors(), ValueError) as error:
        raise ValueError(
            f"checkpoint: the weights of {published.encoder}, {repo_id} on the Hugging Face Hub, cannot be downloaded "
            f"({_reason(error)}); {_remedy(published)}."
        ) from error


def _reason(error: BaseException) -> str:
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
        return f"it holds no {FILE}"
    return on_one_line(error)


def _remedy(published: Weights) -> str:
    return (
        f"where there is a connection, `hf download {published.repo_id} {FILE} --local-dir FOLDER` fetches them, "
        "and checkpoint=FOLDER loads them anywhere"
    )
