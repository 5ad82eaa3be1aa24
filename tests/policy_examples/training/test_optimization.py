import pytest

from policy_examples.encoders import load_encoder
from policy_examples.policy import DiffusionPolicy
from policy_examples.policy_shape import PolicyShape
from policy_examples.training.optimization import param_groups, warmup_cosine

SHAPE = PolicyShape(9, 4, horizon=4, observation_steps=2, action_steps=3, channels=(16,))


def test_the_encoder_learns_at_its_own_rate():
    policy = DiffusionPolicy(SHAPE, [load_encoder("resnet18-scratch")])
    *encoder, head = param_groups(policy, lr=1e-3, encoder_lr_multiplier=0.1, weight_decay=1e-6)
    assert [group["full_lr"] for group in encoder] == pytest.approx([1e-4] * len(encoder))
    assert head["full_lr"] == 1e-3
    assert {group["weight_decay"] for group in encoder} == {0, 1e-6}  # none for norms and biases
    assert head["weight_decay"] == 1e-6
    grouped = [id(parameter) for group in (*encoder, head) for parameter in group["params"]]
    assert sorted(grouped) == sorted(id(parameter) for parameter in policy.parameters())


def test_a_frozen_encoder_has_no_group():
    policy = DiffusionPolicy(SHAPE, [load_encoder("resnet18-scratch").freeze()])
    (head,) = param_groups(policy, 1e-3, 1.0, 1e-6)
    assert len(head["params"]) == len(list(policy.unet.parameters()))


def test_the_learning_rate_rises_linearly_then_falls_to_zero():
    shares = [warmup_cosine(step, warmup_steps=4, steps=12) for step in range(13)]
    assert shares[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert shares[8] == pytest.approx(0.5)
    assert shares[12] == pytest.approx(0)
