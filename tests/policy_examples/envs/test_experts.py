import hashlib
import http.server
import threading

import numpy as np
import pytest

from policy_examples.envs.experts import Expert, cache_folder, download, load_expert
from tests.policy_examples.envs.mjrl_files import policy

RANDOM = np.random.default_rng(0)


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """An empty cache, and no way to the network but a port where nothing listens."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    return cache_folder()


@pytest.fixture
def server():
    """A web server on this machine that answers every request with `content`; its address."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"content")

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}/door-v0.pickle"
        serving.shutdown()
        thread.join()


def write_policy(path, observation_size, action_size):
    sizes = {"in_shift": observation_size, "in_scale": observation_size, "out_shift": action_size}
    scaling = {name: RANDOM.normal(size=size).astype(np.float32) for name, size in sizes.items()}
    scaling["out_scale"] = RANDOM.normal(size=action_size).astype(np.float32)
    layers = [
        (RANDOM.normal(size=(outputs, inputs)).astype(np.float32), RANDOM.normal(size=outputs).astype(np.float32))
        for inputs, outputs in ((observation_size, 4), (4, 5), (5, action_size))
    ]
    path.write_bytes(policy(layers, scaling))


def test_an_expert_is_tanh_layers_between_scaled_ends():
    expert = Expert(
        layers=[(np.array([[1.0, 2.0]]), np.array([0.5])), (np.array([[3.0]]), np.array([-1.0]))],
        in_shift=np.array([1.0, 1.0]),
        in_scale=np.array([2.0, 4.0]),
        out_shift=np.array([10.0]),
        out_scale=np.array([2.0]),
    )
    # (3 - 1) / 2 = 1, (-3 - 1) / 4 = -1; 1 - 2 + 0.5 = -0.5; 3 tanh(-0.5) - 1; times 2, plus 10
    np.testing.assert_allclose(expert.act(np.array([3.0, -3.0])), [2 * (3 * np.tanh(-0.5) - 1) + 10], rtol=1e-7)


def test_an_expert_of_one_s_own_is_read_from_a_folder(tmp_path, offline):
    write_policy(tmp_path / "pen-v0.pickle", 45, 24)
    assert load_expert("adroit-pen", tmp_path).act(np.zeros(45)).shape == (24,)
    assert not offline.exists()


def test_another_task_s_expert_is_refused(tmp_path):
    write_policy(tmp_path / "pen-v0.pickle", 39, 28)
    with pytest.raises(ValueError, match="reads 39 numbers and gives 28, adroit-pen has 45 and 24"):
        load_expert("adroit-pen", tmp_path)


def test_without_a_network_one_sentence_says_what_to_do(offline):
    with pytest.raises(ValueError, match=r"door-v0.pickle could not be downloaded \(.*\); .*--experts.$") as refused:
        load_expert("adroit-door")
    assert "\n" not in str(refused.value)
    assert not offline.exists()


def test_a_damaged_file_in_the_cache_is_not_opened(offline):
    offline.mkdir(parents=True)
    (offline / "door-v0.pickle").write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"expected sha256 288dd.* got .*door-v0.pickle \(delete it.*not opened"):
        load_expert("adroit-door")


def test_a_download_of_another_sha256_is_refused_and_leaves_nothing(server, tmp_path):
    with pytest.raises(ValueError, match=f"expected sha256 {'0' * 64}, got {hashlib.sha256(b'content').hexdigest()}"):
        download(server, "0" * 64, tmp_path / "cache" / "door-v0.pickle")
    assert not (tmp_path / "cache").exists()


def test_a_download_is_put_in_the_cache_and_nothing_beside_it(server, tmp_path):
    download(server, hashlib.sha256(b"content").hexdigest(), tmp_path / "cache" / "door-v0.pickle")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["door-v0.pickle"]
    assert (tmp_path / "cache" / "door-v0.pickle").read_bytes() == b"content"


@pytest.mark.parametrize(
    ("task", "sizes"),
    [
        ("adroit-door", [(32, 39), (32, 32), (28, 32)]),
        ("adroit-hammer", [(32, 46), (32, 32), (26, 32)]),
        ("adroit-pen", [(64, 45), (64, 64), (24, 64)]),
    ],
)
def test_dapg_s_files_have_the_known_sha256_and_layers(adroit_experts, offline, task, sizes):
    offline.mkdir(parents=True)
    for file in adroit_experts.glob("*.pickle"):
        (offline / file.name).write_bytes(file.read_bytes())
    assert [weight.shape for weight, _ in load_expert(task).layers] == sizes
