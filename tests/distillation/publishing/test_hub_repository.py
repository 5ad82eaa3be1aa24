import hashlib

import pytest

from distillation.publishing.hub_repository import Present, compare, look, send
from tests.xdistill_encoder.hub_repository import LFS_BYTES
from tests.xdistill_encoder.hub_server import READ_TOKEN, WRITE_TOKEN, serving

# huggingface_hub 2.4 hands files to its HTTP client in a deprecated way
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload raw bytes:DeprecationWarning")

REPOSITORY = "robots/encoder"
HELLO, GIT_NAME = b"hello world\n", "3b18e512dba79e4c8300dd08aeb37f8e728b8dad"  # by `git hash-object`
LARGE = bytes(LFS_BYTES + 1)


@pytest.fixture
def hub(monkeypatch):
    """A Hub that the owner of its repositories is signed in to."""
    monkeypatch.setenv("HF_TOKEN", WRITE_TOKEN)
    with serving() as server:
        yield server


# ---- what is there


def test_small_files_are_known_by_gits_name_and_large_ones_by_their_sha256(hub):
    hub.add(REPOSITORY, {"docs/hello.txt": HELLO, "model.safetensors": LARGE}, access="private")
    files = {"docs/hello.txt": GIT_NAME, "model.safetensors": hashlib.sha256(LARGE).hexdigest()}
    assert look(REPOSITORY, None, None) == Present(True, True, files)


def test_a_repository_that_is_missing_holds_nothing(hub):
    assert look(REPOSITORY, None, "v1") == Present(False, False, {})


def test_a_branch_to_be_made_holds_what_main_does_and_one_that_is_there_its_own(hub):
    hub.add(REPOSITORY, {"hello.txt": HELLO})
    hub.repositories[REPOSITORY].commit({"wide.txt": HELLO}, "wide")
    assert list(look(REPOSITORY, "tall", None).files) == ["hello.txt"]
    assert list(look(REPOSITORY, "wide", None).files) == ["wide.txt"]


def test_a_gated_repository_of_others_is_told_from_one_that_is_missing(hub, monkeypatch):
    hub.add(REPOSITORY, {}, access="gated")
    monkeypatch.setenv("HF_TOKEN", READ_TOKEN)
    with pytest.raises(ValueError, match="repo: robots/encoder: access is gated, and this token has none"):
        look(REPOSITORY, None, None)


def test_a_hub_that_is_down_or_unreachable_is_an_error_with_the_reason(hub):
    hub.down = True
    with pytest.raises(ValueError, match=r"repo: robots/encoder: the Hub cannot be asked what is there \(.*503"):
        look(REPOSITORY, None, None)
    hub.stop()
    with pytest.raises(ValueError, match=r"the Hub cannot be asked what is there \(.*refused"):
        look(REPOSITORY, None, None)


def test_a_name_that_the_hub_does_not_accept_is_refused_unasked(hub):
    with pytest.raises(ValueError, match="repo: robots/en--coder: no name that the Hub accepts"):
        look("robots/en--coder", None, None)
    assert hub.requests == []


# ---- what an upload would change


def test_files_are_compared_by_content_under_either_name_of_it():
    sha256 = hashlib.sha256(HELLO).hexdigest()
    assert compare({"a": HELLO, "b": HELLO, "c": HELLO, "d": HELLO}, {"a": GIT_NAME, "b": sha256, "c": "0" * 40}) == {
        "a": "same", "b": "same", "c": "replaces", "d": "adds"
    }  # fmt: skip


def test_files_that_are_there_alone_are_kept_and_the_hubs_own_is_not_mentioned():
    assert compare({}, {"z": GIT_NAME, "robot.txt": GIT_NAME, ".gitattributes": GIT_NAME}) == {
        "robot.txt": "keeps", "z": "keeps"
    }  # fmt: skip


# ---- the upload


def test_a_folder_becomes_one_commit_under_its_tag(hub, tmp_path):
    (tmp_path / "hello.txt").write_bytes(HELLO)
    url = send(tmp_path, REPOSITORY, private=True, revision=None, tag="v1", message="first")
    repository = hub.repositories[REPOSITORY]
    sha = url.rpartition("/")[2]
    assert repository.access == "private"
    assert (repository.branches["main"], repository.tags) == (sha, {"v1": sha})
    assert repository.commits[sha]["hello.txt"] == HELLO


def test_a_tag_that_cannot_be_set_is_told_with_the_upload_that_is_there(hub, tmp_path):
    sha = hub.add(REPOSITORY, {})
    hub.repositories[REPOSITORY].tags["v1"] = sha  # by somebody else, since it was looked for
    (tmp_path / "hello.txt").write_bytes(HELLO)
    with pytest.raises(ValueError, match=rf"tag: http.*/{REPOSITORY}/commit/\w+ is there, its tag 'v1' is not \(.*409"):
        send(tmp_path, REPOSITORY, private=False, revision=None, tag="v1", message="first")
    assert hub.repositories[REPOSITORY].commits[hub.repositories[REPOSITORY].branches["main"]] == {"hello.txt": HELLO}
