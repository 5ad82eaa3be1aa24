from dataclasses import replace

import numpy as np
import pytest
import torch
from pytorch_grad_cam import GradCAM
from torch import nn

from policy_examples.encoders import PolicyEncoder
from policy_examples.explain.attribution.feature_maps import last_map
from policy_examples.explain.attribution.gradients import (
    Moment,
    Target,
    draw,
    grad_cam,
    input_gradient,
    saliency_maps,
    score,
    spread,
)
from policy_examples.policy import DiffusionPolicy

BOTH = ("grad-cam", "input-gradient")


def seen(size_px=64):
    generator = torch.Generator().manual_seed(1)
    pixels = torch.rand(1, 2, 3, size_px, size_px, generator=generator)
    return Moment({"image": pixels}, torch.zeros(1, 2, 9), torch.rand(1, 4, 4, generator=generator) - 0.5)


def condition_of(policy, moment):
    return policy.condition({**moment.cameras, "agent_pos": moment.agent_pos})


# ---- the maps themselves


def test_grad_cam_of_a_linear_readout_is_where_its_channels_are_in_proportion_to_their_weights():
    """2 x mean(first) - 3 x mean(second) of 4 x 4: their gradients are 2 / 16 and -3 / 16 everywhere."""
    activations = torch.zeros(1, 2, 4, 4)
    activations[0, 0, 1, 2] = 5
    activations[0, 1, 3, 3] = 7
    activations.requires_grad_()
    readout = torch.tensor([2.0, -3.0]) @ activations.mean(dim=(-2, -1))[0]
    (gradients,) = torch.autograd.grad(readout, activations)
    expected = torch.zeros(1, 4, 4)
    expected[0, 1, 2] = 5 * 2 / 16
    expected[0, 3, 3] = 7 * 3 / 16
    torch.testing.assert_close(grad_cam(activations.detach(), gradients), expected)


def test_the_input_gradient_of_a_weighted_sum_is_the_largest_weight_of_a_pixel():
    weights, images = torch.randn(1, 3, 8, 8), torch.rand(1, 3, 8, 8, requires_grad=True)
    (gradients,) = torch.autograd.grad((weights * images).sum(), images)
    torch.testing.assert_close(input_gradient(gradients), weights.abs().amax(dim=1))


def test_a_map_is_spread_over_what_the_encoder_saw():
    """An even map stays even; of 8 x 6 px the middle 4 x 4 were seen."""
    spreaded = spread(torch.full((1, 2, 2), 3.0), (8, 6), crop_px=(4, 4))
    expected = torch.zeros(1, 8, 6)
    expected[0, 2:6, 1:5] = 3
    torch.testing.assert_close(spreaded, expected)
    torch.testing.assert_close(spread(torch.full((1, 2, 2), 3.0), (8, 6), None), torch.full((1, 8, 6), 3.0))


# ---- what they are of


@torch.no_grad()
@pytest.mark.parametrize("prediction", ["sample", "epsilon"])
def test_the_loss_is_the_policy_s_own_for_noises_at_levels_spread_evenly(build_policy, prediction):
    policy, moment, target = build_policy(prediction=prediction), seen(), Target("loss", noises=4)
    noise, _ = draw(policy, target)
    batch = {**moment.cameras, "agent_pos": moment.agent_pos, "action": moment.actions}
    repeated = {key: values.expand(4, *values.shape[1:]) for key, values in batch.items()}
    loss = policy(repeated, noise, torch.tensor([12, 37, 62, 87]))  # the middles of four quarters of 100 levels
    torch.testing.assert_close(score(policy, condition_of(policy, moment), moment.actions, target), loss)


@torch.no_grad()
def test_the_size_of_an_action_is_that_of_what_the_policy_would_do(build_policy):
    policy, moment = build_policy(), seen()
    observation = {
        "image": moment.cameras["image"].expand(3, -1, -1, -1, -1),
        "agent_pos": moment.agent_pos.expand(3, -1, -1),
    }
    chunks = policy.predict_action(observation, torch.Generator().manual_seed(0))  # (3, Ta, A)
    condition = condition_of(policy, moment)
    for dimension, sizes in ((None, chunks.abs().sum(dim=-1)), (2, chunks[..., 2].abs())):
        found = score(policy, condition, moment.actions, Target("action", dimension, noises=3))
        torch.testing.assert_close(found, sizes.mean())


@pytest.mark.parametrize("target", [Target("loss"), Target("action", 1)])
@pytest.mark.parametrize("kind", ["resnet18-scratch", "softmax", "dinov2-s", "theia-s", "convnext", "vit"])
def test_every_encoder_that_reads_pixels_has_maps_of_the_frame_s_size(build_policy, kind, target):
    maps = saliency_maps(build_policy(kind), seen(48 if kind == "softmax" else 64), target, BOTH)
    size = (48, 48) if kind == "softmax" else (64, 64)
    for values in maps.values():
        assert values.shape == size
        assert values.dtype == np.float32
        assert values.min() >= 0
    assert maps["input-gradient"].sum() > 0
    assert maps["grad-cam"].sum() > 0


class WeightedSum(nn.Module):
    """Frames (B, 3, H, W) -> (B, 1)."""

    num_features = 1

    def __init__(self, weights):
        super().__init__()
        self.register_buffer("weights", weights)

    def forward(self, images):
        return (self.weights * images).sum(dim=(-3, -2, -1))[:, None] / 100


@pytest.mark.parametrize("target", [Target("loss"), Target("action")])
def test_the_input_gradient_of_a_policy_that_reads_a_weighted_sum_is_proportional_to_the_weights(build_policy, target):
    weights = torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(0))
    encoder = PolicyEncoder(WeightedSum(weights), "image", {"name": "weighted sum", "norm": None})
    policy = DiffusionPolicy(build_policy().shape, [encoder]).eval()
    values = saliency_maps(policy, seen(), target, ("input-gradient",))["input-gradient"]
    expected = weights.abs().amax(dim=0)
    torch.testing.assert_close(torch.from_numpy(values) / values.max(), expected / expected.max())


def test_what_the_encoder_does_not_see_has_no_saliency(build_policy):
    maps = saliency_maps(build_policy(crop_px=32), seen(64), Target("loss"), BOTH)
    outside = np.ones((64, 64), dtype=bool)
    outside[16:48, 16:48] = False
    for values in maps.values():
        assert values[outside].max() == 0
    assert maps["input-gradient"][~outside].max() > 0


def test_maps_repeat_exactly_and_leave_the_policy_as_it_was(build_policy):
    policy, moment = build_policy(), seen()
    first = saliency_maps(policy, moment, Target("action"), BOTH)
    second = saliency_maps(policy, moment, Target("action"), BOTH)
    assert all(np.array_equal(first[method], second[method]) for method in BOTH)
    assert all(parameter.grad is None for parameter in policy.parameters())
    assert not moment.cameras["image"].requires_grad
    assert not last_map(policy.encoder_of(0)).layer._forward_hooks


def test_grad_cam_is_the_size_of_what_the_package_has_before_it_cuts_off_and_stretches(build_policy):
    policy, moment, target = build_policy(), seen(), Target("action", 0)

    class Answer(nn.Module):
        """Frames (To, 3, H, W) -> (1, 1): the target."""

        def __init__(self):
            super().__init__()
            self.policy = policy

        def forward(self, frames):
            condition = policy.condition({"image": frames[None], "agent_pos": moment.agent_pos})
            return score(policy, condition, moment.actions, target).view(1, 1)

    class Kept(GradCAM):
        def get_cam_image(self, *arguments):
            self.weighed = super().get_cam_image(*arguments)
            return self.weighed

    with Kept(Answer(), [last_map(policy.encoder_of(0)).layer]) as cam:
        cam(moment.cameras["image"][0], [nn.Identity()])
    theirs = spread(torch.from_numpy(cam.weighed[-1:]).abs(), (64, 64), None)[0].numpy()
    ours = saliency_maps(policy, moment, target, ("grad-cam",))["grad-cam"]
    assert ours.max() > 0
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4 * ours.max())


@pytest.mark.parametrize("shared", [True, False])
def test_each_of_two_cameras_has_the_maps_of_its_own_frames_and_encoder(build_policy, shared):
    """The reference runs the encoders one after the other, then assembles the condition by hand."""
    encoders = [build_policy().encoder_of(0), build_policy().encoder_of(0)]
    for parameter in encoders[1].parameters():
        parameter.data *= 0.9
    shape = replace(build_policy().shape, cameras=("image", "image_wrist"))
    policy, target = DiffusionPolicy(shape, encoders[: 1 if shared else 2]).eval(), Target("action")
    cameras = {"image": seen().cameras["image"], "image_wrist": 1 - seen().cameras["image"].flip(-1)}
    moment = replace(seen(), cameras=cameras)
    kept, features = {}, []
    for place, (name, pixels) in enumerate(cameras.items()):
        encoder = policy.encoder_of(place)
        with last_map(encoder).layer.register_forward_hook(lambda *call, name=name: kept.update({name: call[2]})):
            features.append(encoder(pixels))
    condition = torch.cat([*features, policy.agent_pos.normalize(moment.agent_pos)], dim=-1).flatten(1)
    gradients = torch.autograd.grad(score(policy, condition, moment.actions, target), list(kept.values()))
    for (name, activations), on_map in zip(kept.items(), gradients, strict=True):
        expected = spread(grad_cam(activations[-1:].detach(), on_map[-1:]), (64, 64), None)[0].numpy()
        found = saliency_maps(policy, moment, target, ("grad-cam",), name)["grad-cam"]
        assert found.max() > 0
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * expected.max())


# ---- mistakes


def test_a_dimension_belongs_to_an_action():
    with pytest.raises(ValueError, match="action_dimension: .* with target 'action', got 2 with target 'loss'"):
        Target("loss", 2)
    with pytest.raises(ValueError, match="noises: expected 1 or more, got 0"):
        Target(noises=0)
