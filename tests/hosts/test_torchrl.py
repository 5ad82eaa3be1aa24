import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict
from tensordict import TensorDict
from torchrl.envs import GymWrapper, SerialEnv, TransformedEnv
from torchrl.envs.utils import check_env_specs

from xdistill_encoder import XDistillResNet18
from xdistill_encoder.hosts.torchrl import XDistillTransform


class Pixels(gymnasium.Env):
    """Noise from the seed of the reset."""

    action_space = Box(-1, 1, (2,), np.float32)
    observation_space = Dict(pixels=Box(0, 255, (48, 64, 3), np.uint8), joints=Box(-1, 1, (3,), np.float32))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observe(), {}

    def step(self, action):
        return self.observe(), 0.0, False, False, {}

    def observe(self):
        image = self.np_random.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        return {"pixels": image, "joints": np.zeros(3, np.float32)}


def test_features_stand_in_the_place_of_pixels_at_reset_and_at_every_step(encoder):
    env = TransformedEnv(GymWrapper(Pixels()), XDistillTransform(encoder=encoder, del_keys=False))
    check_env_specs(env)
    rollout = env.rollout(3)
    for steps in (rollout, rollout["next"]):
        expected = encoder(steps["pixels"].movedim(-1, -3))
        torch.testing.assert_close(steps["xdistill_features"], expected, rtol=1e-4, atol=1e-4)


def test_pixels_go_where_they_are_not_kept(encoder):
    env = TransformedEnv(GymWrapper(Pixels()), XDistillTransform(encoder=encoder))
    rollout = env.rollout(2)
    assert "pixels" not in list(rollout.keys())
    assert rollout["xdistill_features"].shape == (2, 512)
    assert "joints" in list(rollout.keys())


def test_environments_that_run_together_are_encoded_together(encoder):
    env = TransformedEnv(SerialEnv(2, lambda: GymWrapper(Pixels())), XDistillTransform(encoder=encoder))
    assert env.rollout(2)["xdistill_features"].shape == (2, 2, 512)


def test_a_replay_buffer_gets_features_and_gradients_where_they_are_asked_for(random_encoder, pixels):
    encoder = random_encoder("frozen")
    transform = XDistillTransform(encoder=encoder, requires_grad=True).train()
    batch = transform(TensorDict({"pixels": pixels}, [2]))
    batch["xdistill_features"].sum().backward()
    assert encoder.trunk.conv1.weight.grad is not None


def test_features_do_not_depend_on_the_mode_of_a_policy_that_shares_the_encoder(random_encoder, pixels):
    encoder = random_encoder("batch").eval()
    expected = encoder(pixels)
    before = encoder.trunk.bn1.running_mean.clone()
    encoder.train()
    features = XDistillTransform(encoder=encoder)(TensorDict({"pixels": pixels}, [2]))["xdistill_features"]
    torch.testing.assert_close(features, expected)
    assert torch.equal(encoder.trunk.bn1.running_mean, before)
    assert encoder.training
    assert encoder.trunk.bn1.training


def test_gradients_for_a_frozen_encoder_are_refused():
    acting = XDistillTransform()
    with pytest.raises(
        ValueError, match=r'requires_grad: the encoder is frozen, .* call encoder.unfreeze\("trunk"\) first'
    ):
        XDistillTransform(encoder=acting.encoder, requires_grad=True)
    acting.encoder.unfreeze("trunk")
    assert XDistillTransform(encoder=acting.encoder, requires_grad=True).encoder is acting.encoder


def test_an_encoder_that_an_environment_shares_with_a_replay_buffer_goes_on_learning_there(random_encoder, pixels):
    encoder = random_encoder("frozen")
    learning = XDistillTransform(encoder=encoder, requires_grad=True)
    acting = XDistillTransform(encoder=encoder)
    assert not acting(TensorDict({"pixels": pixels}, [2]))["xdistill_features"].requires_grad
    learning(TensorDict({"pixels": pixels}, [2]))["xdistill_features"].sum().backward()
    assert encoder.trunk.conv1.weight.grad is not None


def test_the_bundled_encoder_of_an_environment_is_frozen():
    assert not any(parameter.requires_grad for parameter in XDistillTransform().encoder.parameters())


def test_what_is_no_image_and_keys_without_partners_are_refused(encoder):
    with pytest.raises(ValueError, match="out_keys: expected one for each of"):
        XDistillTransform(in_keys=("a", "b"), encoder=encoder)
    with pytest.raises(ValueError, match=r"in_keys: expected a list of keys, got 'pixels'; write \['pixels'\]"):
        XDistillTransform(in_keys="pixels", out_keys="features", encoder=encoder)
    env = TransformedEnv(GymWrapper(Pixels()), XDistillTransform(in_keys=("pixelz",), encoder=encoder))
    with pytest.raises(ValueError, match=r"in_keys: expected some of \[.*'pixels'.*\], .* got 'pixelz'"):
        env.observation_spec  # noqa: B018
    env = TransformedEnv(GymWrapper(Pixels()), XDistillTransform(in_keys=("joints",), encoder=encoder))
    with pytest.raises(ValueError, match="'joints' must be images"):
        env.observation_spec  # noqa: B018


def test_features_are_float32_whatever_the_encoder_computes_in(random_encoder, pixels):
    transform = XDistillTransform(encoder=random_encoder().half())
    assert transform(TensorDict({"pixels": pixels}, len(pixels)))["xdistill_features"].dtype == torch.float32


def test_an_encoder_for_normalised_images_is_refused():
    with pytest.raises(ValueError, match="encoder: expected one for raw pixels, got one .* inputs_normalized=True"):
        XDistillTransform(encoder=XDistillResNet18("frozen", inputs_normalized=True))
