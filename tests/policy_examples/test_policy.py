import json

import pytest
import torch

from policy_examples.encoders import load_encoder
from policy_examples.policy import DiffusionPolicy, PolicyShape
from policy_examples.windows import Windows

SHAPE = PolicyShape(
    encoder_norm="group",
    state_size=9,
    action_size=4,
    horizon=4,
    observation_steps=2,
    action_steps=3,
    channels=(32, 64),
    step_embedding_size=16,
)


@pytest.fixture
def policy(demonstrations):
    torch.manual_seed(0)
    policy = DiffusionPolicy(SHAPE, load_encoder("resnet18-scratch", None, "group"))
    policy.agent_pos.fit(torch.from_numpy(demonstrations.agent_pos))
    policy.actions.fit(torch.from_numpy(demonstrations.actions))
    return policy


@pytest.fixture
def batch(demonstrations):
    return Windows(demonstrations, horizon=4, observation_steps=2, action_steps=3)[torch.tensor([1, 6, 15])]


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def test_the_loss_of_a_denoiser_that_answers_zero_is_the_mean_square_of_the_normalised_actions(policy, batch):
    torch.nn.init.zeros_(policy.unet.out[-1].weight)
    torch.nn.init.zeros_(policy.unet.out[-1].bias)
    expected = policy.actions.normalize(batch["action"]).square().mean()
    torch.testing.assert_close(policy.compute_loss(batch), expected)


def test_the_executed_actions_lie_within_the_limits_of_the_demonstrations(policy, batch, demonstrations):
    actions = policy.eval().predict_action(batch)
    assert actions.shape == (3, 3, 4)
    assert (actions >= torch.from_numpy(demonstrations.actions).amin(0) - 1e-5).all()
    assert (actions <= torch.from_numpy(demonstrations.actions).amax(0) + 1e-5).all()


def test_the_loss_reaches_the_encoder(policy, batch):
    policy.compute_loss(batch).backward()
    assert policy.encoder.trunk.conv1.weight.grad.abs().sum() > 0


def test_a_policy_reproduces_three_windows_that_it_was_trained_on(policy, batch):
    optimizer = torch.optim.AdamW(policy.parameters(), lr=3e-4, fused=True)
    noise = seeded(0)
    for _ in range(80):
        policy.compute_loss(batch, noise).backward()
        optimizer.step()
        optimizer.zero_grad()
    actions = policy.eval().predict_action(batch, seeded(1))
    torch.testing.assert_close(actions, batch["action"][:, 1:4], atol=0.1, rtol=0)


def test_a_loaded_policy_gives_bit_identical_actions(policy, batch, tmp_path):
    policy.eval().save(tmp_path / "policy", origin={"task": "reach"})
    loaded, origin = DiffusionPolicy.load(tmp_path / "policy")
    assert torch.equal(loaded.predict_action(batch, seeded(2)), policy.predict_action(batch, seeded(2)))
    assert origin == {"task": "reach"}


def test_a_folder_without_a_policy_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"holds no policy .*`xdistill finetune` writes one"):
        DiffusionPolicy.load(tmp_path)


def test_a_policy_of_another_format_is_refused(policy, tmp_path):
    policy.save(tmp_path / "policy", origin={})
    path = tmp_path / "policy/config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 2}))
    with pytest.raises(ValueError, match="has format 2, this version reads format 1"):
        DiffusionPolicy.load(tmp_path / "policy")


def test_truncated_weights_are_refused(policy, tmp_path):
    policy.save(tmp_path / "policy", origin={})
    weights = tmp_path / "policy/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"the weights in .* cannot be loaded"):
        DiffusionPolicy.load(tmp_path / "policy")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"horizon": 5}, "horizon: 2 UNet levels need a multiple of 2, got 5"),
        ({"action_steps": 4}, "must fit into the horizon of 4, got 2 - 1 \\+ 4"),
        ({"channels": (32, 60)}, "each must be a multiple of groups = 8, got \\(32, 60\\)"),
    ],
)
def test_sizes_that_do_not_fit_together_are_refused(change, message):
    sizes = {name: getattr(SHAPE, name) for name in SHAPE.__dataclass_fields__}
    with pytest.raises(ValueError, match=message):
        PolicyShape(**{**sizes, **change})
