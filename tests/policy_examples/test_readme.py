import re
from pathlib import Path

import torch

from policy_examples.encoders import load_encoder
from policy_examples.policy import DiffusionPolicy
from policy_examples.policy_shape import PolicyShape

README = Path(__file__).parents[2] / "policy_examples/README.md"


def test_the_loop_for_ones_own_robot_acts_on_what_it_observes(tmp_path, monkeypatch):
    shape = PolicyShape(3, 2, horizon=8, observation_steps=2, action_steps=6, channels=(16, 32))
    DiffusionPolicy(shape, [load_encoder("resnet18-scratch")]).save(tmp_path / "runs/cup/policy", {})
    (loop,) = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    observed, acted, slept = [], [], []

    def observe():
        observed.append({"image": torch.zeros(3, 40, 40, dtype=torch.uint8), "agent_pos": torch.zeros(3)})
        return observed[-1]

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.sleep", lambda seconds: slept.append(seconds))
    exec(loop, {"observe": observe, "act": acted.append})
    assert [action.shape for action in acted] == [(2,)] * 300
    assert len(observed) == len(acted)
    assert 0 < max(slept) < 1 / 30
