import os
import pickle
import sys

import numpy as np
import pytest

from policy_examples.envs.mjrl_pickles import read_network
from tests.policy_examples.envs.mjrl_files import Built, Named, dumps, policy, storage, tensor

WEIGHT = np.arange(6, dtype=np.float32).reshape(2, 3)
SCALING = {
    "in_shift": np.ones(3, np.float32),
    "in_scale": np.full(3, 2, np.float32),
    "out_shift": np.zeros(2, np.float32),
    "out_scale": np.full(2, 3, np.float32),
}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "door-v0.pickle"


class Hostile:
    """Unpickled as anybody unpickles, it makes a folder."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return os.mkdir, (self.mark,)


def test_the_network_of_a_policy_is_read_without_mjrl_or_torch(file):
    file.write_bytes(policy([(WEIGHT, np.array([7, 8], np.float32))], SCALING))
    (weight, bias), scaling = read_network(file)
    assert weight.tolist() == WEIGHT.tolist()
    assert bias.tolist() == [7, 8]
    assert {name: value.tolist() for name, value in scaling.items()} == {
        name: value.tolist() for name, value in SCALING.items()
    }
    assert not any(name.partition(".")[0] == "mjrl" for name in sys.modules)


def test_a_hostile_pickle_is_refused_unrun(file, tmp_path):
    file.write_bytes(pickle.dumps(Hostile(tmp_path / "harmed"), 2))
    pickle.loads(pickle.dumps(Hostile(tmp_path / "proof"), 2))
    assert (tmp_path / "proof").exists()
    with pytest.raises(ValueError, match=r"door-v0.pickle is damaged or no policy.*posix.mkdir.*Nothing of it was run"):
        read_network(file)
    assert not (tmp_path / "harmed").exists()


def test_a_hostile_pickle_among_the_weights_is_refused_unrun(file, tmp_path):
    inner = pickle.dumps(Hostile(tmp_path / "harmed"), 2)
    file.write_bytes(dumps(Built(Named("torch.storage", "_load_from_bytes"), (inner,))))
    with pytest.raises(ValueError, match=r"posix.mkdir is not allowed among the weights"):
        read_network(file)
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (dumps(Built(Named("builtins", "eval"), ("1",))), "it asks for builtins.eval"),
        (dumps(Built(Named("torch", "load"), ("x",))), "it asks for torch.load"),
        (dumps(Built(Named("builtins", "getattr"), (1, "__class__"))), "'__class__', only tanh"),
        (dumps(tensor(WEIGHT, offset=1)), "at 1 of 6"),
        (dumps(Built(Named("torch.storage", "_load_from_bytes"), (storage(WEIGHT)[:-4],))), "buffer is smaller"),
        (
            dumps(Built(Named("torch.storage", "_load_from_bytes"), (storage(WEIGHT, Named("os", "system")),))),
            "os.system is not allowed",
        ),
        (policy([(WEIGHT, WEIGHT[0])], SCALING)[:-20], "damaged"),
        (b"", "damaged"),
        (b"<html>404</html>", "damaged"),
        (pickle.dumps({"weights": [1, 2]}), "no policy of mjrl"),
    ],
)
def test_anything_but_a_policy_is_refused_with_the_reason(file, content, reason):
    file.write_bytes(content)
    with pytest.raises(ValueError, match=reason):
        read_network(file)


def test_a_missing_file_is_named(file):
    with pytest.raises(ValueError, match=r"there is no file .*door-v0.pickle"):
        read_network(file)
