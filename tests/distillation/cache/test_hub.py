import pytest
from huggingface_hub import constants

from distillation.cache.hub import download, upload
from distillation.cache.store import TargetCache
from tests.xdistill_encoder.hub_server import READ_TOKEN, WRITE_TOKEN

COMMITTED = [f"view-{view:03}/shard-{shard:05}.parquet" for view in range(2) for shard in range(3)]


def test_what_was_uploaded_is_downloaded_without_what_belongs_to_one_machine(hub, whole, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", WRITE_TOKEN)
    whole.map()
    (whole.folder / "damaged-0.txt").write_text("3\t/home/me/3.png\tdamaged\n")
    url = upload(whole.folder, "robots/uploaded")
    (sha,) = [sha for sha in hub.repositories["datasets/robots/uploaded"].commits if url.endswith(sha)]
    folder = download("robots/uploaded", sha)
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found == {name: (whole.folder / name).read_bytes() for name in ["targets.json", *COMMITTED]}


def test_a_dataset_that_is_not_there_and_an_upload_without_a_token_are_told(hub, whole):
    with pytest.raises(ValueError, match="dataset robots/nothing at revision v1: not on the Hub"):
        TargetCache.open("robots/nothing@v1")
    with pytest.raises(ValueError, match="push: robots/targets: the upload failed .*hf auth login"):
        upload(whole.folder, "robots/targets")


def test_a_gated_dataset_and_one_without_the_revision_are_told(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", READ_TOKEN)
    hub.add("datasets/robots/gated", {"targets.json": b"{}"}, access="gated")
    hub.add("datasets/robots/open", {"targets.json": b"{}"})
    with pytest.raises(ValueError, match="dataset robots/gated at revision main: access is gated; ask for it"):
        download("robots/gated", None)
    with pytest.raises(ValueError, match="dataset robots/open at revision v9: the dataset has no such revision"):
        download("robots/open", "v9")


def test_a_name_that_the_hub_does_not_accept_is_told(hub, whole, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", WRITE_TOKEN)
    with pytest.raises(ValueError, match="dataset robots/-- at revision main: the download failed .*repeat it"):
        download("robots/--", None)
    with pytest.raises(ValueError, match="push: robots/--: the upload failed .*needs 'org/name'"):
        upload(whole.folder, "robots/--")


def test_a_hub_that_cannot_be_reached_is_told():
    assert constants.ENDPOINT.startswith("http://127.0.0.1:")  # where nothing listens
    with pytest.raises(ValueError, match="dataset robots/unseen at revision main: the download failed"):
        download("robots/unseen", None)


def test_a_transfer_that_hf_xet_breaks_off_is_told(monkeypatch):
    """hf_xet raises a bare RuntimeError, which a Hub on this machine without Xet cannot make it do."""

    def break_off(*_, **__):
        raise RuntimeError("Data processing error:\n  CAS service error")

    monkeypatch.setattr("distillation.cache.hub.snapshot_download", break_off)
    with pytest.raises(ValueError, match=r"the download failed .Data processing error: CAS service error.; repeat it"):
        download("org/name", None)
