"""Checkpoints on the Hugging Face Hub: download to its cache, upload."""

from collections.abc import Sequence
from pathlib import Path

from xdistill_encoder.checkpoint_config import CheckpointError


def download(
    repo_id: str,
    file: str,
    revision: str | None,
    *,
    cache_dir: str | Path | None,
    token: str | bool | None,
    local_files_only: bool,
    offline: str,
) -> Path:
    """One file of a repository, from the cache where it is current; .../snapshots/<commit>/<file>.

    Args:
        offline: the checkpoints that need no Hub, for the messages.

    Raises:
        CheckpointError: no such repository, revision or file; no access; no connection; a download that breaks off.
    """
    from huggingface_hub import errors, hf_hub_download

    where = f"{repo_id} at revision {revision or 'main'}"
    try:
        path = hf_hub_download(
            repo_id, file, revision=revision, cache_dir=cache_dir, token=token, local_files_only=local_files_only
        )
    except errors.HFValidationError as error:
        raise CheckpointError(
            f"{repo_id}: no name that the Hub accepts ({on_one_line(error)}), nor a folder here"
        ) from error
    except errors.GatedRepoError as error:
        raise CheckpointError(f"{where}: access is gated; ask for it on the Hub, then pass token=") from error
    except errors.RepositoryNotFoundError as error:
        raise CheckpointError(
            f"{repo_id}: no such repository on the Hub (a private one needs token=), nor a folder of that name here"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise CheckpointError(f"{repo_id}: no revision {revision!r} on the Hub") from error
    except errors.LocalEntryNotFoundError as error:
        why = (
            f"{file} is not in the local cache, and local_files_only=True keeps it from the Hub"
            if local_files_only
            else f"the Hugging Face Hub cannot be reached ({on_one_line(error.__cause__ or error)})"
        )
        raise CheckpointError(
            f"{where}: {why}, and there is no folder of that name here; these work offline: {offline}"
        ) from error
    except errors.EntryNotFoundError as error:
        raise CheckpointError(f"{where}: no {file}, so this is no xdistill-encoder checkpoint") from error
    except transfer_errors() as error:
        raise CheckpointError(
            f"{where}: the download of {file} failed ({on_one_line(error)}); try again; these work offline: {offline}"
        ) from error
    return Path(path)


def upload(
    folder: str | Path,
    repo_id: str,
    *,
    private: bool | None,
    token: str | bool | None,
    revision: str | None,
    commit_message: str,
    keep: tuple[str, ...] = (),
) -> str:
    """Upload a folder to a repository or its branch `revision`, either created where missing; returns the commit's URL.

    Args:
        keep: files of the folder that do not replace those of the repository.

    Raises:
        CheckpointError: no connection, no right to write, a name that the Hub does not accept.
    """
    from huggingface_hub import HfApi, errors

    if "/" not in repo_id:
        raise CheckpointError(f"{repo_id}: expected 'org/name'; the org may be your own user name")
    api = HfApi(token=token)
    try:
        api.create_repo(repo_id, private=private, exist_ok=True)
        if revision is not None and not revision.startswith("refs/"):  # refs/pr/<n> are pull requests
            api.create_branch(repo_id, branch=revision, exist_ok=True)
        kept = [file for file in keep if api.file_exists(repo_id, file, revision=revision)]
        commit = api.upload_folder(
            repo_id=repo_id, folder_path=folder, revision=revision, commit_message=commit_message, ignore_patterns=kept
        )
    except errors.HFValidationError as error:
        raise CheckpointError(
            f"{repo_id}: no name that the Hub accepts ({on_one_line(error)}); use 'org/name'"
        ) from error
    except transfer_errors() as error:  # RuntimeError: around what stopped the transfer of a file
        why = on_one_line(error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ else error)
        raise CheckpointError(
            f"{repo_id}: the upload failed ({why}); it needs a connection and a token with write access: "
            "`hf auth login`, or token="
        ) from error
    return commit.commit_url


def plain_card(name: str, lineage: Sequence[str]) -> str:
    """The README.md of weights that nobody described yet: what they are, how they load, whose terms hold.

    Args:
        lineage: the checkpoint that they started from, the one that this started from, and so on.
    """
    started = ", which started from ".join(f"`{each}`" for each in lineage)
    origin = (
        f"They started from the checkpoint {started}, whose licence terms and limits hold here too; its card has "
        "them.\n"
        if lineage
        else "Nothing is recorded of what they learned from, nor of a licence.\n"
    )
    terms = "license: other\n" if lineage else ""
    return (
        f"---\nlibrary_name: xdistill-encoder\n{terms}pipeline_tag: image-feature-extraction\ntags:\n- robotics\n---\n"
        f"# {name}\n\nWeights of a ResNet-18 image encoder for robot policies. {origin}\n"
        "```python\nfrom xdistill_encoder import XDistillResNet18\n\n"
        f'encoder = XDistillResNet18.from_pretrained("{name}")  # images (B, 3, H, W) -> features (B, 512)\n```\n'
    )


def transfer_errors() -> tuple[type[BaseException], ...]:
    """What can escape huggingface_hub: its own errors, the disk's, those of its HTTP library (requests or httpx), and
    RuntimeError, of hf_xet where a transfer breaks off."""
    from huggingface_hub.errors import HfHubHTTPError

    return (*HfHubHTTPError.__bases__, OSError, RuntimeError)


def on_one_line(error: BaseException) -> str:
    """The message of an error, or its type where it has none."""
    return " ".join(str(error).split()) or type(error).__name__
