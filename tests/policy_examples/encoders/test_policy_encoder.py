import copy
import json

import pytest
import torch
from torch import nn

from policy_examples.encoders import empty_encoder, load_encoder

DESCRIPTIONS = {
    "resnet18-scratch": {"norm": "group", "image_size_px": None, "teacher_features": None},
    "theia-s": {"norm": None, "image_size_px": 64},
    "pointnet-dp3": {"norm": None, "image_size_px": None},
    "blind": {"norm": None, "image_size_px": None},
}


@pytest.fixture(params=DESCRIPTIONS)
def encoder(request):
    torch.manual_seed(0)
    return empty_encoder({"name": request.param, "readout": "pooled", "origin": None, **DESCRIPTIONS[request.param]})


@pytest.fixture
def observed(encoder):
    """What the encoder reads, B = 2, T = 3; agent_pos for one that reads nothing."""
    shapes = {"image": (2, 3, 3, 48, 48), "point_cloud": (2, 3, 16, 3), None: (2, 3, 9)}
    return torch.rand(shapes[encoder.reads], generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_every_frame_of_every_row_gets_its_own_features(encoder, observed):
    encoder.eval()
    features = encoder(observed)
    assert features.shape == (2, 3, encoder.num_features)
    for row in range(2):
        for frame in range(3):
            alone = encoder(observed[row : row + 1, frame : frame + 1])
            torch.testing.assert_close(features[row, frame], alone[0, 0], atol=1e-4, rtol=1e-4)


def test_the_architecture_is_rebuilt_from_its_description_in_json(encoder, observed):
    rebuilt = empty_encoder(json.loads(json.dumps(encoder.saved)))
    rebuilt.load_state_dict(encoder.state_dict(), strict=True)
    torch.testing.assert_close(rebuilt.eval()(observed), encoder.eval()(observed), rtol=0, atol=0)


def test_every_parameter_learns_in_exactly_one_group(encoder, observed):
    groups = encoder.param_groups(1e-4, 1e-2)
    members = [parameter for group in groups for parameter in group["params"]]
    assert {id(parameter) for parameter in members} == {id(parameter) for parameter in encoder.parameters()}
    assert len(members) == len(list(encoder.parameters()))
    encoder(observed).square().sum().backward() if members else None
    assert all(parameter.grad is not None for parameter in members)


def test_biases_norms_tokens_and_position_embeddings_take_no_decay(encoder):
    plain = {
        id(parameter)
        for module in encoder.modules()
        for name, parameter in module.named_parameters(recurse=False)
        if isinstance(module, nn.LayerNorm | nn.GroupNorm) or name in ("bias", "pos_embed", "cls_token")
    }
    for group in encoder.param_groups(1e-4, 1e-2):
        members = {id(parameter) for parameter in group["params"]}
        assert members == plain if group["weight_decay"] == 0 else members.isdisjoint(plain)
        assert group["weight_decay"] in (0, 1e-2)


def test_a_frozen_encoder_stays_frozen_when_the_policy_trains(encoder):
    frozen = copy.deepcopy(encoder.freeze()).train()
    assert not any(module.training for module in frozen.modules())
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    assert frozen.param_groups(1e-4, 0.0) == []


def test_frozen_batch_statistics_stay_as_they_are_when_live_ones_were_allowed():
    encoder = load_encoder("resnet18-scratch", norm="batch", allow_batch_norm=True).freeze().train()
    before = copy.deepcopy(encoder.state_dict())
    encoder(torch.rand(2, 1, 3, 32, 32))
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


def test_a_rate_that_no_optimizer_should_see_is_refused(encoder):
    with pytest.raises(ValueError, match="lr: expected a number above 0, got 0"):
        encoder.param_groups(0.0, 1e-2)


def test_frames_without_a_time_axis_are_refused():
    with pytest.raises(
        ValueError, match=r"images: expected \(B, T, 3, H, W\), got shape \(2, 3, 64, 64\); .*two leading axes"
    ):
        load_encoder("resnet18-scratch")(torch.zeros(2, 3, 64, 64))


def test_blind_says_nothing_whatever_it_is_shown():
    encoder = load_encoder("blind")
    assert (encoder.reads, encoder.num_features, encoder.parameter_count) == (None, 0, 0)
    assert encoder(torch.rand(4, 2, 9)).shape == (4, 2, 0)
