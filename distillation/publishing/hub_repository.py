"""A repository of the Hugging Face Hub that weights are published to."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, errors, get_token
from huggingface_hub.hf_api import RepoFile

from xdistill_encoder.hub import on_one_line, transfer_errors, upload


@dataclass(frozen=True)
class Present:
    """What a repository holds.

    Attributes:
        exists: there is such a repository, as far as the token may know.
        private: only its owner sees it.
        files: path: the name that git gives its content, or the sha256 of a large file.
    """

    exists: bool
    private: bool
    files: Mapping[str, str]


def look(repo_id: str, revision: str | None, tag: str | None) -> Present:
    """What a branch of a repository holds; where there is no such branch, what main does, from which it is made.

    Raises:
        ValueError: no token, no access, no connection; a name that the Hub does not accept; the tag exists.
    """
    if get_token() is None:
        raise ValueError("repo: an upload needs a token with write access: `hf auth login`, or set HF_TOKEN")
    api = HfApi()
    try:
        private = bool(api.repo_info(repo_id).private)
        if tag is not None and _has(api, repo_id, tag):
            raise ValueError(f"tag: {repo_id} has a revision {tag!r}, and tags stay where they are; give another")
        branch = revision if revision is not None and _has(api, repo_id, revision) else None
        entries = list(api.list_repo_tree(repo_id, recursive=True, revision=branch))
    except errors.GatedRepoError as error:
        raise ValueError(f"repo: {repo_id}: access is gated, and this token has none") from error
    except errors.RepositoryNotFoundError:
        return Present(False, False, {})
    except errors.HFValidationError as error:
        raise ValueError(
            f"repo: {repo_id}: no name that the Hub accepts ({on_one_line(error)}); use 'org/name'"
        ) from error
    except transfer_errors() as error:
        raise ValueError(f"repo: {repo_id}: the Hub cannot be asked what is there ({on_one_line(error)})") from error
    files = [entry for entry in entries if isinstance(entry, RepoFile)]
    return Present(True, private, {file.path: file.lfs.sha256 if file.lfs else file.blob_id for file in files})


def compare(files: Mapping[str, bytes], present: Mapping[str, str]) -> dict[str, str]:
    """Path: "adds", "replaces", "same" or, of files that are there alone, "keeps"."""
    verdicts = {}
    for path, content in files.items():
        git_name = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        there = present.get(path)
        same = there in (git_name, hashlib.sha256(content).hexdigest())
        verdicts[path] = "adds" if there is None else "same" if same else "replaces"
    return verdicts | dict.fromkeys(sorted(present.keys() - files.keys() - {".gitattributes"}), "keeps")


def send(folder: Path, repo_id: str, *, private: bool, revision: str | None, tag: str | None, message: str) -> str:
    """Upload a folder as one commit and tag it; returns the commit's URL, which ends in its sha.

    Raises:
        ValueError: no connection, no right to write; metadata that the Hub does not accept.
    """
    url = upload(folder, repo_id, private=private or None, token=None, revision=revision, commit_message=message)
    if tag is not None:
        try:
            HfApi().create_tag(repo_id, tag=tag, revision=url.rpartition("/")[2])
        except transfer_errors() as error:
            raise ValueError(
                f"tag: {url} is there, its tag {tag!r} is not ({on_one_line(error)}); repeat it"
            ) from error
    return url


def _has(api: HfApi, repo_id: str, revision: str) -> bool:
    try:
        api.repo_info(repo_id, revision=revision)
    except errors.RevisionNotFoundError:
        return False
    return True
