"""Teacher caches as dataset repositories of the Hugging Face Hub."""

from pathlib import Path

from huggingface_hub import HfApi, errors, snapshot_download

from xdistill_encoder.hub import on_one_line, transfer_errors

PUBLISHED = ("README.md", "targets.json", "view-*/shard-*.parquet")


def download(repo_id: str, revision: str | None) -> Path:
    """A published cache -> its folder in the Hub's cache, downloaded where it is not current.

    Raises:
        ValueError: no such dataset or revision, no access, no connection.
    """
    where = f"targets: dataset {repo_id} at revision {revision or 'main'}"
    try:
        folder = snapshot_download(repo_id, repo_type="dataset", revision=revision, allow_patterns=list(PUBLISHED))
    except errors.GatedRepoError as error:
        raise ValueError(f"{where}: access is gated; ask for it on the Hub, then `hf auth login`") from error
    except errors.RepositoryNotFoundError as error:
        raise ValueError(
            f"{where}: not on the Hub (a private one needs `hf auth login`), and there is no folder of that name"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ValueError(f"{where}: the dataset has no such revision") from error
    except (*transfer_errors(), errors.HFValidationError) as error:
        raise ValueError(f"{where}: the download failed ({on_one_line(error)}); repeat it, it goes on") from error
    return Path(folder)


def upload(folder: Path, repo_id: str) -> str:
    """Publish a cache as one commit to a dataset repository, made where missing; returns the commit's URL.

    Files that are there already do not travel again, so that a transfer that broke off can be repeated.

    Raises:
        ValueError: no connection, no right to write, a name that the Hub does not accept.
    """
    if "/" not in repo_id:
        raise ValueError(f"push: {repo_id}: expected 'org/name'; the org may be your own user name")
    api = HfApi()
    try:
        api.create_repo(repo_id, repo_type="dataset", exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo_id,
            repo_type="dataset",
            folder_path=folder,
            allow_patterns=list(PUBLISHED),
            commit_message="Teacher embeddings by xdistill targets",
        )
    except (*transfer_errors(), errors.HFValidationError) as error:  # RuntimeError: around a failed file
        raise ValueError(
            f"push: {repo_id}: the upload failed ({on_one_line(error.__cause__ or error)}); it needs 'org/name', a "
            "connection and a token with write access: `hf auth login`; repeating it sends only what is not there"
        ) from error
    return commit.commit_url
