"""A repository of the Hub, in memory."""

import hashlib
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal

LFS_BYTES = 100_000  # larger files travel through LFS, as the real Hub's safetensors do


@dataclass
class Repository:
    """Commits {sha: {path: content}} of a model or dataset with its branches and tags {name: sha}."""

    access: Literal["public", "private", "gated"] = "public"
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes], branch: str = "main", delete: tuple[str, ...] = ()) -> str:
        """Add files to a branch and delete others (a folder ends in "/"); returns the commit's sha."""
        before = self.commits.get(self.branches.get(branch, ""), {})
        kept = {
            path: content
            for path, content in before.items()
            if path not in delete and not path.startswith(tuple(d for d in delete if d.endswith("/")))
        }
        files = kept | files
        sha = hashlib.sha1(f"{len(self.commits)} {branch}".encode()).hexdigest()
        self.commits[sha], self.branches[branch] = files, sha
        return sha

    def files(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """The name of a branch or tag, or a sha -> (sha, files); None where it is none of them."""
        sha = (self.tags | self.branches).get(revision, revision)
        return (sha, self.commits[sha]) if sha in self.commits else None


def git_id(content: bytes) -> str:
    """The name that git gives a blob."""
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


def object_id(content: bytes) -> str:
    """The name that the Hub gives a file: git's, or where it travels through LFS its sha256."""
    return hashlib.sha256(content).hexdigest() if len(content) > LFS_BYTES else git_id(content)


def entries(files: dict[str, bytes]) -> dict[str, dict]:
    """What the Hub tells of each file and folder of a commit, by path."""
    found = {}
    for path, content in files.items():
        for folder in reversed(PurePosixPath(path).parents[:-1]):
            found[str(folder)] = {
                "type": "directory",
                "path": str(folder),
                "size": 0,
                "oid": git_id(str(folder).encode()),
            }
        found[path] = {"type": "file", "path": path, "size": len(content), "oid": git_id(content)}
        if len(content) > LFS_BYTES:
            found[path]["lfs"] = {"oid": object_id(content), "size": len(content), "pointerSize": 134}
    return found
