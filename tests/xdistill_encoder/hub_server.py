"""A Hugging Face Hub on loopback: models in memory behind the routes that huggingface_hub uses."""

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Literal
from urllib.parse import unquote

WRITE_TOKEN = "hf_owner"
LFS_BYTES = 100_000  # larger files travel through LFS, as the real Hub's safetensors do


@dataclass
class Repository:
    """A model's commits {sha: {path: content}} with its branches {name: sha}."""

    access: Literal["public", "private", "gated"] = "public"
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        """Add files to a branch; returns the commit's sha."""
        files = self.commits.get(self.branches.get(branch, ""), {}) | files
        sha = hashlib.sha1(f"{len(self.commits)} {branch}".encode()).hexdigest()
        self.commits[sha], self.branches[branch] = files, sha
        return sha

    def files(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """A branch's name or a sha -> (sha, files); None where it is neither."""
        sha = self.branches.get(revision, revision)
        return (sha, self.commits[sha]) if sha in self.commits else None


class HubServer:
    """Serves `repositories` while started.

    Attributes:
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


class _Handler(BaseHTTPRequestHandler):
    """Routes one request; HTTP/1.0, so that no connection outlives its answer."""

    server_state: HubServer

    ROUTES = (
        ("HEAD|GET", r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)", "resolve"),
        ("POST", r"/api/repos/create", "create_repository"),
        ("POST", r"/api/models/(?P<repo>[^/]+/[^/]+)/branch/(?P<branch>.+)", "create_branch"),
        ("POST", r"/api/models/(?P<repo>[^/]+/[^/]+)/preupload/(?P<revision>[^/?]+)", "preupload"),
        ("GET", r"/api/models/(?P<repo>[^/]+/[^/]+)/revision/(?P<revision>[^/?]+)\?.*", "model_info"),
        ("POST", r"/(?P<repo>[^/]+/[^/]+)\.git/info/lfs/objects/batch", "lfs_batch"),
        ("PUT", r"/lfs/(?P<oid>\w+)", "lfs_put"),
        ("POST", r"/api/models/(?P<repo>[^/]+/[^/]+)/commit/(?P<revision>[^/?]+)", "commit"),
    )

    def handle_request(self) -> None:
        hub, authorization = self.server_state, self.headers["Authorization"]
        hub.requests.append((self.command, self.path, authorization))
        body = self.read_body()
        if hub.down:
            return self.answer(503)
        for methods, pattern, action in self.ROUTES:
            match = re.fullmatch(pattern, self.path)
            if match and self.command in methods.split("|"):
                if action not in ("resolve", "lfs_put") and authorization != f"Bearer {WRITE_TOKEN}":
                    return self.answer(401, {"error": "Invalid username or password."})
                arguments = {name: unquote(value) for name, value in match.groupdict().items()}
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

    def resolve(self, body: bytes, repo: str, revision: str, file: str) -> None:
        hub, signed_in = self.server_state, self.headers["Authorization"] is not None
        repository = hub.repositories.get(repo)
        owner = self.headers["Authorization"] == f"Bearer {WRITE_TOKEN}"
        if repository is None or (repository.access == "private" and not owner):
            return self.refuse(404 if signed_in else 401, "RepoNotFound")
        if repository.access == "gated" and not owner:
            return self.refuse(403 if signed_in else 401, "GatedRepo")
        found = repository.files(revision)
        if found is None:
            return self.refuse(404, "RevisionNotFound")
        sha, files = found
        if file not in files:
            return self.refuse(404, "EntryNotFound")
        content = files[file]
        headers = {"X-Repo-Commit": sha, "ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
        if self.command == "GET" and file == hub.break_off:
            content = content[: len(content) // 2]
        start = re.fullmatch(
            r"bytes=(\d+)-", self.headers["Range"] or ""
        )  # a download that goes on where one broke off
        self.answer(206 if start else 200, content[int(start[1]) if start else 0 :], headers)
        if self.command == "GET" and file in hub.after_download:
            hub.after_download.pop(file)()
        return None

    # ---- upload

    def create_repository(self, body: bytes) -> None:
        wanted = json.loads(body)
        repo = f"{wanted['organization']}/{wanted['name']}"
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

    def model_info(self, body: bytes, repo: str, revision: str) -> None:
        self.answer(200, {"id": repo, "sha": self.server_state.repositories[repo].branches[revision]})

    def preupload(self, body: bytes, repo: str, revision: str) -> None:
        files = [
            {"path": f["path"], "uploadMode": "lfs" if f["size"] > LFS_BYTES else "regular", "shouldIgnore": False}
            for f in json.loads(body)["files"]
        ]
        self.answer(200, {"files": files})

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
        files = {}
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server_state.uploads[value["oid"]]
        sha = self.server_state.repositories[repo].commit(files, revision)
        url = f"http://127.0.0.1:{self.server_state.port}/{repo}/commit/{sha}"
        self.answer(200, {"commitUrl": url, "commitOid": sha, "success": True})
