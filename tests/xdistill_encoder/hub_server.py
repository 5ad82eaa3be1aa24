"""A Hugging Face Hub on loopback: models and datasets in memory behind the routes that huggingface_hub uses."""

import base64
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Literal
from urllib.parse import unquote, urlsplit

from tests.xdistill_encoder.hub_repository import LFS_BYTES, Repository, entries, object_id

WRITE_TOKEN = "hf_owner"
LICENSES = ("apache-2.0", "cc-by-nc-4.0", "mit", "other")  # some of the Hub's
READ_TOKEN = "hf_reader"  # of somebody who is signed in and may write nowhere


class HubServer:
    """Serves `repositories` while started.

    Attributes:
        repositories: models under "org/name", datasets under "datasets/org/name".
        requests: (method, path, Authorization header or None) of each request so far.
        break_off: a file whose downloads end in the middle.
        down: answer every request with 503.
        after_download: {file: called once the file was downloaded}.
    """

    def __init__(self, port: int):
        self.port = port
        self.repositories: dict[str, Repository] = {}
        self.uploads: dict[str, bytes] = {}
        self.requests: list[tuple[str, str, str | None]] = []
        self.break_off = ""
        self.down = False
        self.after_download: dict = {}
        self._server: ThreadingHTTPServer | None = None

    def add(
        self, repo_id: str, files: dict[str, bytes], access: Literal["public", "private", "gated"] = "public"
    ) -> str:
        """A repository with one commit on main; returns the commit's sha."""
        self.repositories[repo_id] = Repository(access)
        return self.repositories[repo_id].commit(files)

    def start(self) -> None:
        hub = self

        class Handler(_Handler):
            server_state = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        """Close the port: the Hub is unreachable from here on."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@contextmanager
def serving() -> Iterator[HubServer]:
    """The Hub that huggingface_hub talks to in this process, until the context ends or stop() is called."""
    from huggingface_hub import constants

    assert os.environ["HF_ENDPOINT"] == constants.ENDPOINT, "huggingface_hub was imported before tests/conftest.py"
    server = HubServer(urlsplit(constants.ENDPOINT).port or 0)
    server.start()
    try:
        yield server
    finally:  # a test that fails must not leave the port to those after it
        server.stop()


class _Handler(BaseHTTPRequestHandler):
    """Routes one request; HTTP/1.0, so that no connection outlives its answer."""

    server_state: HubServer

    API = r"/api/(?P<kind>models|datasets)/(?P<repo>[^/]+/[^/?]+)"
    FILES = r"/(?P<repo>(?:datasets/)?[^/]+/[^/]+)"
    ROUTES = (
        ("HEAD|GET", FILES + r"/resolve/(?P<revision>[^/]+)/(?P<file>[^?]+)", "resolve"),
        ("GET", API + r"(?:/revision/(?P<revision>[^/?]+))?(?:\?.*)?", "information"),
        ("GET", API + r"/tree/(?P<revision>[^/?]+)(?:/(?P<folder>[^?]+))?(?:\?(?P<query>.*))?", "tree"),
        ("POST", r"/api/validate-yaml", "validate_card"),
        ("POST", r"/api/repos/create", "create_repository"),
        ("POST", API + r"/branch/(?P<branch>.+)", "create_branch"),
        ("POST", API + r"/tag/(?P<revision>.+)", "create_tag"),
        ("POST", API + r"/preupload/(?P<revision>[^/?]+)", "preupload"),
        ("POST", FILES + r"\.git/info/lfs/objects/batch", "lfs_batch"),
        ("PUT", r"/lfs/(?P<oid>\w+)", "lfs_put"),
        ("POST", API + r"/commit/(?P<revision>[^/?]+)", "commit"),
    )
    READING = ("resolve", "information", "tree")

    def handle_request(self) -> None:
        hub, authorization = self.server_state, self.headers["Authorization"]
        hub.requests.append((self.command, self.path, authorization))
        body = self.read_body()
        if hub.down:
            return self.answer(503)
        for methods, pattern, action in self.ROUTES:
            match = re.fullmatch(pattern, self.path)
            if match and self.command in methods.split("|"):
                arguments = {name: unquote(value) for name, value in match.groupdict().items() if value is not None}
                if arguments.pop("kind", "models") == "datasets":
                    arguments["repo"] = f"datasets/{arguments['repo']}"
                if action in self.READING:
                    return self.read(action, **arguments)
                if authorization == f"Bearer {READ_TOKEN}":
                    return self.answer(403, {"error": "this token has no right to write"})
                if action not in ("lfs_put", "validate_card") and authorization != f"Bearer {WRITE_TOKEN}":
                    return self.answer(401, {"error": "Invalid username or password."})
                return getattr(self, action)(body, **arguments)
        return self.answer(404, {"error": f"no route {self.command} {self.path}"})

    do_GET = do_HEAD = do_POST = do_PUT = handle_request  # noqa: N815  # http.server's names

    def read_body(self) -> bytes:
        if self.headers["Transfer-Encoding"] != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"] or 0))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def answer(self, status: int, content: dict | bytes = b"", headers: dict[str, str] | None = None) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def refuse(self, status: int, code: str) -> None:
        self.answer(status, {"error": code}, {"X-Error-Code": code, "X-Error-Message": code})

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # http.server's name
        pass

    # ---- download

    def read(self, action: str, repo: str, revision: str = "main", **arguments: str) -> None:
        """Do what reads one commit of a repository, where the token gives access to it."""
        signed_in = self.headers["Authorization"] is not None
        repository = self.server_state.repositories.get(repo)
        owner = self.headers["Authorization"] == f"Bearer {WRITE_TOKEN}"
        if repository is None or (repository.access == "private" and not owner):
            return self.refuse(404 if signed_in else 401, "RepoNotFound")
        if repository.access == "gated" and not owner:
            return self.refuse(403 if signed_in else 401, "GatedRepo")
        found = repository.files(revision)
        if found is None:
            return self.refuse(404, "RevisionNotFound")
        return getattr(self, action)(repo, *found, **arguments)

    def resolve(self, repo: str, sha: str, files: dict[str, bytes], file: str) -> None:
        hub = self.server_state
        if file not in files:
            return self.refuse(404, "EntryNotFound")
        content = files[file]
        headers = {"X-Repo-Commit": sha, "ETag": f'"{object_id(content)}"'}
        if self.command == "GET" and file == hub.break_off:
            content = content[: len(content) // 2]
        start = re.fullmatch(
            r"bytes=(\d+)-", self.headers["Range"] or ""
        )  # a download that goes on where one broke off
        self.answer(206 if start else 200, content[int(start[1]) if start else 0 :], headers)
        if self.command == "GET" and file in hub.after_download:
            hub.after_download.pop(file)()
        return None

    def information(self, repo: str, sha: str, files: dict[str, bytes]) -> None:
        private = self.server_state.repositories[repo].access == "private"
        siblings = [{"rfilename": path} for path in files]
        identity = repo.removeprefix("datasets/")
        self.answer(200, {"id": identity, "sha": sha, "private": private, "tags": [], "siblings": siblings})

    def tree(self, repo: str, sha: str, files: dict[str, bytes], folder: str = "", query: str = "") -> None:
        """What lies in a folder; with recursive=true what lies below it too."""
        within = f"{folder}/" if folder else ""
        listed = [
            entry
            for path, entry in entries(files).items()
            if path.startswith(within) and ("recursive=true" in query.lower() or "/" not in path[len(within) :])
        ]
        if folder and not listed:
            return self.refuse(404, "EntryNotFound")
        return self.answer(200, json.dumps(listed).encode())

    # ---- upload

    def validate_card(self, body: bytes) -> None:
        """Refuses what the Hub's own check of README.md refuses of the entries that our cards have."""
        from huggingface_hub import RepoCard

        data = RepoCard(json.loads(body)["content"]).data.to_dict()
        arrays = ("tags", "datasets")
        errors = [f'"{key}" must be an array' for key in arrays if not isinstance(data.get(key, []), list)]
        if data.get("license", "other") not in LICENSES:
            errors.append(f'"license" must be one of [{", ".join(LICENSES)}]')
        self.answer(400 if errors else 200, {"errors": [{"message": error} for error in errors], "warnings": []})

    def create_repository(self, body: bytes) -> None:
        wanted = json.loads(body)
        prefix = "datasets/" if wanted.get("type") == "dataset" else ""
        repo = f"{prefix}{wanted['organization']}/{wanted['name']}"
        url = {"url": f"http://127.0.0.1:{self.server_state.port}/{repo}"}
        if repo in self.server_state.repositories:
            return self.answer(409, url)
        private = wanted.get("private") or wanted.get("visibility") == "private"
        self.server_state.repositories[repo] = Repository("private" if private else "public")
        self.server_state.repositories[repo].commit({".gitattributes": b""})
        return self.answer(200, url)

    def create_branch(self, body: bytes, repo: str, branch: str) -> None:
        branches = self.server_state.repositories[repo].branches
        if branch in branches:
            return self.answer(409, {"error": "Reference already exists"})
        branches[branch] = branches["main"]
        return self.answer(200)

    def create_tag(self, body: bytes, repo: str, revision: str) -> None:
        repository, tag = self.server_state.repositories[repo], json.loads(body)["tag"]
        found = repository.files(revision)
        if found is None:
            return self.refuse(404, "RevisionNotFound")
        if tag in repository.tags:
            return self.answer(409, {"error": "Tag reference exists already"})
        repository.tags[tag] = found[0]
        return self.answer(200)

    def preupload(self, body: bytes, repo: str, revision: str) -> None:
        found = self.server_state.repositories[repo].files(revision)
        if found is None:
            return self.refuse(404, "RevisionNotFound")
        answers = []
        for file in json.loads(body)["files"]:
            mode = "lfs" if file["size"] > LFS_BYTES else "regular"
            answers.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False})
            if file["path"] in found[1]:
                answers[-1]["oid"] = object_id(found[1][file["path"]])
        return self.answer(200, {"files": answers})

    def lfs_batch(self, body: bytes, repo: str) -> None:
        root = f"http://127.0.0.1:{self.server_state.port}/lfs"
        objects = [
            {"oid": o["oid"], "size": o["size"], "actions": {"upload": {"href": f"{root}/{o['oid']}"}}}
            for o in json.loads(body)["objects"]
        ]
        self.answer(200, {"transfer": "basic", "objects": objects})

    def lfs_put(self, body: bytes, oid: str) -> None:
        self.server_state.uploads[oid] = body
        self.answer(200 if hashlib.sha256(body).hexdigest() == oid else 400)

    def commit(self, body: bytes, repo: str, revision: str) -> None:
        files, delete = {}, []
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server_state.uploads[value["oid"]]
            elif line["key"] in ("deletedFile", "deletedFolder"):
                delete.append(value["path"])
        sha = self.server_state.repositories[repo].commit(files, revision, tuple(delete))
        url = f"http://127.0.0.1:{self.server_state.port}/{repo}/commit/{sha}"
        self.answer(200, {"commitUrl": url, "commitOid": sha, "success": True})
