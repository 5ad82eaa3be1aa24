import logging
import os
import re
import time
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import torch

from tests.xdistill_encoder.hub_server import WRITE_TOKEN, HubServer
from xdistill_encoder import CheckpointError, XDistillResNet18, bundled_checkpoints
from xdistill_encoder.checkpoint_config import CONFIG_FILE
from xdistill_encoder.checkpoint_weights import WEIGHTS_FILE

REPOSITORY = "robots/encoder"


@pytest.fixture
def hub():
    """A Hub that answers at HF_ENDPOINT until the test ends or calls stop()."""
    from huggingface_hub import constants

    assert os.environ["HF_ENDPOINT"] == constants.ENDPOINT, "huggingface_hub was imported before tests/conftest.py"
    server = HubServer(urlsplit(constants.ENDPOINT).port or 0)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def no_waiting(monkeypatch):
    """The client's pauses between its attempts take no time; the attempts are made."""
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)


@pytest.fixture(scope="session")
def saved(random_encoder, tmp_path_factory):
    """seed -> (encoder, its files as {name: content})."""

    @lru_cache
    def save(seed: int = 0) -> tuple[XDistillResNet18, dict[str, bytes]]:
        folder = random_encoder(seed=seed).save_pretrained(tmp_path_factory.mktemp("saved"), half=True)
        return XDistillResNet18.from_pretrained(folder), {p.name: p.read_bytes() for p in folder.iterdir()}

    return save


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def message_of(name: str, **options) -> str:
    """The text of the CheckpointError that loading ends in."""
    with pytest.raises(CheckpointError) as caught:
        XDistillResNet18.from_pretrained(name, **options)
    return str(caught.value)


def same_features(a: XDistillResNet18, b: XDistillResNet18, images: torch.Tensor) -> bool:
    return torch.equal(a(images), b(images)) and torch.equal(a.teacher_embedding(images), b.teacher_embedding(images))


# ---- download


def test_a_hub_id_loads_the_encoder_that_lies_there(hub, saved, cache, images):
    encoder, files = saved()
    hub.add(REPOSITORY, files)
    assert same_features(XDistillResNet18.from_pretrained(REPOSITORY, cache_dir=cache), encoder, images)


def test_a_revision_is_a_branch_or_a_commit_and_main_without_one(hub, saved, cache, images):
    first, first_files = saved(seed=1)
    second, second_files = saved(seed=2)
    first_commit = hub.add(REPOSITORY, first_files)
    hub.repositories[REPOSITORY].commit(second_files, branch="wide")
    load = XDistillResNet18.from_pretrained
    assert same_features(load(REPOSITORY, cache_dir=cache), first, images)
    assert same_features(load(REPOSITORY, cache_dir=cache, revision="wide"), second, images)
    assert same_features(load(REPOSITORY, cache_dir=cache, revision=first_commit), first, images)


def test_a_push_between_the_two_downloads_does_not_mix_two_commits(hub, saved, cache, images):
    before, old_files = saved(seed=1)
    after, new_files = saved(seed=2)
    hub.add(REPOSITORY, old_files)
    hub.after_download[CONFIG_FILE] = lambda: hub.repositories[REPOSITORY].commit(new_files)
    assert same_features(XDistillResNet18.from_pretrained(REPOSITORY, cache_dir=cache), before, images)
    assert same_features(XDistillResNet18.from_pretrained(REPOSITORY, cache_dir=cache), after, images)


def test_a_second_load_downloads_nothing(hub, saved, cache):
    hub.add(REPOSITORY, saved()[1])
    XDistillResNet18.from_pretrained(REPOSITORY, cache_dir=cache)
    hub.requests.clear()
    XDistillResNet18.from_pretrained(REPOSITORY, cache_dir=cache)
    assert [method for method, _, _ in hub.requests] == ["HEAD"]  # is main still the commit in the cache?


def test_cache_dir_holds_what_was_downloaded(hub, saved, cache):
    commit = hub.add(REPOSITORY, saved()[1])
    XDistillResNet18.from_pretrained(REPOSITORY, cache_dir=cache)
    snapshot = cache / "models--robots--encoder" / "snapshots" / commit
    assert sorted(p.name for p in snapshot.iterdir()) == [CONFIG_FILE, WEIGHTS_FILE]


def test_a_token_travels_as_the_authorization_header_of_every_request(hub, saved, cache):
    hub.add(REPOSITORY, saved()[1], access="private")
    XDistillResNet18.from_pretrained(REPOSITORY, cache_dir=cache, token=WRITE_TOKEN)
    assert {authorization for _, _, authorization in hub.requests} == {f"Bearer {WRITE_TOKEN}"}


def test_without_a_token_no_authorization_is_sent(hub, saved, cache):
    hub.add(REPOSITORY, saved()[1])
    XDistillResNet18.from_pretrained(REPOSITORY, cache_dir=cache)
    assert {authorization for _, _, authorization in hub.requests} == {None}


def test_the_cache_serves_while_the_hub_is_unreachable(hub, saved, cache, images):
    encoder, files = saved()
    hub.add(REPOSITORY, files)
    XDistillResNet18.from_pretrained(REPOSITORY, cache_dir=cache)
    hub.stop()
    assert same_features(XDistillResNet18.from_pretrained(REPOSITORY, cache_dir=cache), encoder, images)


def test_local_files_only_reads_the_cache_and_asks_nobody(hub, saved, cache, images):
    encoder, files = saved()
    hub.add(REPOSITORY, files)
    XDistillResNet18.from_pretrained(REPOSITORY, cache_dir=cache)
    hub.requests.clear()
    loaded = XDistillResNet18.from_pretrained(REPOSITORY, cache_dir=cache, local_files_only=True)
    assert same_features(loaded, encoder, images)
    assert hub.requests == []


def test_a_folder_of_the_same_name_wins_over_the_hub(hub, saved, cache, images, tmp_path, monkeypatch):
    local, files = saved(seed=1)
    (tmp_path / REPOSITORY).mkdir(parents=True)
    for name, content in files.items():
        (tmp_path / REPOSITORY / name).write_bytes(content)
    hub.add(REPOSITORY, saved(seed=2)[1])
    monkeypatch.chdir(tmp_path)
    assert same_features(XDistillResNet18.from_pretrained(REPOSITORY, cache_dir=cache), local, images)
    assert hub.requests == []


# ---- what can go wrong with it


def test_a_file_that_the_cache_lacks_is_named_under_local_files_only(hub, cache):
    message = message_of(REPOSITORY, cache_dir=cache, local_files_only=True)
    assert message == (
        "robots/encoder at revision main: config.json is not in the local cache, and local_files_only=True keeps it "
        "from the Hub, and there is no folder of that name here; "
        f"these work offline: {', '.join(bundled_checkpoints()) or 'none'}"
    )


@pytest.mark.usefixtures("no_waiting")
def test_an_unreachable_hub_says_which_checkpoints_work_offline(cache):
    message = message_of(REPOSITORY, cache_dir=cache)
    assert message.startswith("robots/encoder at revision main: the Hugging Face Hub cannot be reached (")
    assert "refused" in message
    assert message.endswith(f"these work offline: {', '.join(bundled_checkpoints()) or 'none'}")


@pytest.mark.usefixtures("no_waiting")
def test_a_hub_that_is_down_says_so(hub, cache):
    hub.down = True
    message = message_of(REPOSITORY, cache_dir=cache)
    assert re.search(r"the Hugging Face Hub cannot be reached \(.*503.*Service Unavailable", message)
    assert "these work offline:" in message


@pytest.mark.parametrize("token", [None, "hf_stranger"])
def test_a_repository_that_does_not_exist_is_told_from_one_that_cannot_be_reached(hub, cache, token):
    assert message_of("robots/nothing", cache_dir=cache, token=token) == (
        "robots/nothing: no such repository on the Hub (a private one needs token=), nor a folder of that name here"
    )


def test_a_private_repository_asks_for_a_token(hub, saved, cache):
    hub.add(REPOSITORY, saved()[1], access="private")
    assert "a private one needs token=" in message_of(REPOSITORY, cache_dir=cache)


@pytest.mark.parametrize("token", [None, "hf_stranger"])
def test_a_gated_repository_says_how_to_get_access(hub, saved, cache, token):
    hub.add(REPOSITORY, saved()[1], access="gated")
    assert message_of(REPOSITORY, cache_dir=cache, token=token) == (
        "robots/encoder at revision main: access is gated; ask for it on the Hub, then pass token="
    )


def test_a_revision_that_does_not_exist_is_named(hub, saved, cache):
    hub.add(REPOSITORY, saved()[1])
    assert message_of(REPOSITORY, cache_dir=cache, revision="v9") == "robots/encoder: no revision 'v9' on the Hub"


def test_a_repository_without_our_config_is_no_checkpoint(hub, cache):
    hub.add(REPOSITORY, {"README.md": b"a dataset of kettles"})
    assert message_of(REPOSITORY, cache_dir=cache) == (
        "robots/encoder at revision main: no config.json, so this is no xdistill-encoder checkpoint"
    )


def test_a_foreign_model_is_refused_before_its_weights_are_downloaded(hub, cache):
    hub.add("google/bert", {CONFIG_FILE: b'{"model_type": "bert"}', WEIGHTS_FILE: b"440 MB"})
    assert message_of("google/bert", cache_dir=cache).endswith(
        "config.json: no format_version, so this is no xdistill-encoder checkpoint"
    )
    assert not [path for _, path, _ in hub.requests if path.endswith(WEIGHTS_FILE)]


def test_another_norm_is_refused_before_the_weights_are_downloaded(hub, saved, cache):
    hub.add(REPOSITORY, saved()[1])
    assert "a swap ruins the weights" in message_of(REPOSITORY, cache_dir=cache, norm="group")
    assert not [path for _, path, _ in hub.requests if path.endswith(WEIGHTS_FILE)]


def test_a_repository_without_weights_is_no_checkpoint(hub, saved, cache):
    _, files = saved()
    commit = hub.add(REPOSITORY, {CONFIG_FILE: files[CONFIG_FILE]})
    assert message_of(REPOSITORY, cache_dir=cache) == (
        f"robots/encoder at revision {commit}: no model.safetensors, so this is no xdistill-encoder checkpoint"
    )


@pytest.mark.parametrize("repo_id", ["robots/en--coder", "robots/encoder.", "-robots/encoder"])
def test_a_name_that_the_hub_does_not_accept_is_refused(hub, cache, repo_id):
    message = message_of(repo_id, cache_dir=cache)
    assert message.startswith(f"{repo_id}: no name that the Hub accepts (")
    assert message.endswith("nor a folder here")
    assert hub.requests == []


def test_a_token_of_a_machine_that_never_logged_in_is_missed(hub, cache):
    message = message_of(REPOSITORY, cache_dir=cache, token=True)
    assert message.startswith("robots/encoder at revision main: the download of config.json failed (Token is required")


@pytest.mark.usefixtures("no_waiting")
def test_a_download_that_breaks_off_fails_and_the_next_one_starts_over(hub, saved, cache, images):
    encoder, files = saved()
    commit = hub.add(REPOSITORY, files)
    hub.break_off = WEIGHTS_FILE
    message = message_of(REPOSITORY, cache_dir=cache)
    assert message.startswith(f"robots/encoder at revision {commit}: the download of model.safetensors failed (")
    assert "try again" in message

    hub.break_off = ""
    assert same_features(XDistillResNet18.from_pretrained(REPOSITORY, cache_dir=cache), encoder, images)


@pytest.mark.parametrize("damaged", [CONFIG_FILE, WEIGHTS_FILE])
def test_a_damaged_file_in_the_cache_comes_back_once_what_the_error_names_is_deleted(
    hub, saved, cache, images, damaged
):
    encoder, files = saved()
    commit = hub.add(REPOSITORY, files)
    XDistillResNet18.from_pretrained(REPOSITORY, cache_dir=cache)
    cached = cache / "models--robots--encoder" / "snapshots" / commit / damaged
    cached.write_bytes(cached.read_bytes()[:-100])

    message = message_of(REPOSITORY, cache_dir=cache)
    assert str(cached) in message
    advice = re.search(r"delete (\S+) and load again", message)
    assert advice is not None
    Path(advice[1]).unlink()
    assert same_features(XDistillResNet18.from_pretrained(REPOSITORY, cache_dir=cache), encoder, images)


def test_a_transfer_that_hf_xet_breaks_off_names_what_works_offline(monkeypatch, cache):
    """hf_xet raises a bare RuntimeError, which a Hub on this machine without Xet cannot make it do."""

    def break_off(*_, **__):
        raise RuntimeError("Data processing error: CAS service error : Reqwest Error")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", break_off)
    message = message_of(REPOSITORY, cache_dir=cache)
    assert "the download of config.json failed (Data processing error: CAS service error" in message
    assert "these work offline: resnet18-bn" in message


# ---- upload

# huggingface_hub 2.4 hands files to its HTTP client in a deprecated way
deprecated_in_hub = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload raw bytes:DeprecationWarning")


@deprecated_in_hub
def test_what_was_pushed_loads_with_identical_features(hub, random_encoder, cache, images):
    encoder = random_encoder()
    encoder.push_to_hub("robots/pushed", provenance={"teacher": "ViT-Ti/16"}, token=WRITE_TOKEN)
    loaded = XDistillResNet18.from_pretrained("robots/pushed", cache_dir=cache)
    assert same_features(loaded, encoder, images)
    assert loaded.checkpoint is not None
    assert loaded.checkpoint.name == "robots/pushed"
    assert loaded.checkpoint.provenance == {"teacher": "ViT-Ti/16"}


@deprecated_in_hub
def test_a_push_of_what_started_from_a_checkpoint_points_to_its_terms(hub):
    XDistillResNet18.from_pretrained().push_to_hub("robots/pushed", token=WRITE_TOKEN, half=True)
    card = hub.repositories["robots/pushed"].files("main")[1]["README.md"].decode()
    assert "started from the checkpoint `resnet18-bn-vit-ti16-augreg-97k`, whose licence terms" in card
    assert 'from_pretrained("robots/pushed")' in card
    assert "\nlicense: other\n" in card


@deprecated_in_hub
def test_a_push_of_what_was_saved_in_between_still_names_the_checkpoint_whose_terms_hold(hub, tmp_path):
    XDistillResNet18.from_pretrained().save_pretrained(tmp_path / "mine", half=True)
    XDistillResNet18.from_pretrained(tmp_path / "mine").push_to_hub("robots/pushed", token=WRITE_TOKEN, half=True)
    card = hub.repositories["robots/pushed"].files("main")[1]["README.md"].decode()
    assert "checkpoint `mine`, which started from `resnet18-bn-vit-ti16-augreg-97k`, whose licence terms" in card


def test_a_push_to_a_name_without_an_owner_creates_nothing(hub, random_encoder):
    with pytest.raises(CheckpointError, match="my-encoder: expected 'org/name'; the org may be your own user name"):
        random_encoder().push_to_hub("my-encoder", token=WRITE_TOKEN)
    assert hub.repositories == {}


@deprecated_in_hub
def test_a_push_returns_the_url_of_its_commit_on_main(hub, random_encoder):
    url = random_encoder().push_to_hub("robots/pushed", token=WRITE_TOKEN, half=True)
    repository = hub.repositories["robots/pushed"]
    assert url == f"http://127.0.0.1:{hub.port}/robots/pushed/commit/{repository.branches['main']}"
    assert repository.access == "public"


@deprecated_in_hub
def test_a_push_goes_to_an_existing_repository_and_keeps_its_other_files(hub, random_encoder, cache, images):
    hub.add(REPOSITORY, {"README.md": b"our robots"})
    encoder = random_encoder(seed=3)
    encoder.push_to_hub(REPOSITORY, token=WRITE_TOKEN)
    assert same_features(XDistillResNet18.from_pretrained(REPOSITORY, cache_dir=cache), encoder, images)
    _, files = hub.repositories[REPOSITORY].files("main")
    assert files["README.md"] == b"our robots"


@deprecated_in_hub
def test_a_push_to_a_revision_creates_the_branch_and_leaves_main(hub, saved, random_encoder, cache, images):
    main, files = saved(seed=1)
    hub.add(REPOSITORY, files)
    branch = random_encoder(seed=2)
    branch.push_to_hub(REPOSITORY, token=WRITE_TOKEN, revision="wide")
    load = XDistillResNet18.from_pretrained
    assert same_features(load(REPOSITORY, cache_dir=cache), main, images)
    assert same_features(load(REPOSITORY, cache_dir=cache, revision="wide"), branch, images)


@deprecated_in_hub
def test_a_private_push_makes_a_private_repository(hub, random_encoder):
    random_encoder().push_to_hub("robots/secret", token=WRITE_TOKEN, private=True, half=True)
    assert hub.repositories["robots/secret"].access == "private"


@pytest.mark.parametrize("token", [False, "hf_stranger"])
def test_a_push_without_the_right_to_write_asks_for_a_token(hub, random_encoder, token):
    with pytest.raises(
        CheckpointError, match=r"robots/pushed: the upload failed \(.*401.*needs a connection and a token"
    ):
        random_encoder().push_to_hub("robots/pushed", token=token, half=True)


def test_a_push_to_an_unreachable_hub_fails_with_advice(random_encoder):
    with pytest.raises(CheckpointError, match=r"robots/pushed: the upload failed \(.*refused.*needs a connection"):
        random_encoder().push_to_hub("robots/pushed", token=WRITE_TOKEN, half=True)


def test_a_push_to_a_name_that_the_hub_does_not_accept_is_refused(hub, random_encoder):
    with pytest.raises(CheckpointError, match=r"robots/en--coder: no name that the Hub accepts .*; use 'org/name'"):
        random_encoder().push_to_hub("robots/en--coder", token=WRITE_TOKEN, half=True)
