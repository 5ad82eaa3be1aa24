import pytest
import torch
from diffusers.training_utils import EMAModel

from policy_examples.encoders import load_encoder
from policy_examples.policy import DiffusionPolicy
from policy_examples.policy_shape import PolicyShape
from policy_examples.training.averaging import Average, require_fixed_statistics

SIZES = {"state_size": 9, "action_size": 4, "horizon": 4, "observation_steps": 2, "action_steps": 3, "channels": (16,)}


def policy_with(norm=None, freeze=False):
    torch.manual_seed(0)
    encoder = load_encoder("resnet18-scratch", norm=norm, allow_batch_norm=True)
    return DiffusionPolicy(PolicyShape(**SIZES), [encoder.freeze() if freeze else encoder])


def drift(policy):
    with torch.no_grad():
        for parameter in policy.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter))


@pytest.mark.parametrize("max_decay", [0.9999, 0.6])
def test_the_average_is_that_of_diffusers(max_decay):
    policy = policy_with(freeze=True)
    average = Average(policy, power=0.75, max_decay=max_decay)
    reference = EMAModel(policy.unet.parameters(), decay=max_decay, use_ema_warmup=True, power=0.75)
    for _ in range(5):
        drift(policy)
        average.update(policy)
        reference.step(policy.unet.parameters())
    for ours, theirs in zip(average.policy.unet.parameters(), reference.shadow_params, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_an_average_goes_on_from_its_state():
    policy = policy_with(freeze=True)
    first = Average(policy, 0.75, 0.9999)
    drift(policy)
    first.update(policy)
    second = Average(policy, 0.75, 0.9999)
    second.load_state_dict(first.state_dict())
    drift(policy)
    for average in (first, second):
        average.update(policy)
    for ours, theirs in zip(second.policy.parameters(), first.policy.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(("norm", "freeze"), [("frozen", False), ("group", False), ("batch", True)])
def test_norms_whose_statistics_stay_are_accepted(norm, freeze):
    require_fixed_statistics(policy_with(norm, freeze), show_batch_norm_trap=False)


def test_batch_norm_that_learns_is_refused_with_the_reason():
    with pytest.raises(ValueError, match=r"norm: encoders.0.*bn1 and 19 more layers follow .* never sees; take norm"):
        require_fixed_statistics(policy_with("batch"), show_batch_norm_trap=False)


def test_batch_norm_is_accepted_where_the_trap_is_asked_for_and_nothing_else_is():
    require_fixed_statistics(policy_with("batch"), show_batch_norm_trap=True)
    with pytest.raises(ValueError, match="show_batch_norm_trap: the trap needs norm 'batch'"):
        require_fixed_statistics(policy_with("group"), show_batch_norm_trap=True)


def test_the_trap_is_that_the_average_keeps_the_statistics_from_before_training():
    policy = policy_with("batch").train()
    average = Average(policy, 0.75, 0.9999)
    policy.encoder_of(0)(torch.randint(0, 256, (2, 2, 3, 32, 32), dtype=torch.uint8))
    average.update(policy)
    learned, kept = (p.encoder_of(0).network.resnet.trunk.bn1.running_mean for p in (policy, average.policy))
    assert learned.abs().max() > 0
    assert torch.equal(kept, torch.zeros(64))
