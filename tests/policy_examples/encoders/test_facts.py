import time

import pytest
import torch

from policy_examples.encoders import describe, load_encoder


def test_the_table_counts_parameters_and_times_a_frame():
    encoder = load_encoder("resnet18-scratch")
    facts = describe(encoder, frame_px=64, repeats=3)
    assert (facts.name, facts.features, facts.image_size_px, facts.device) == ("resnet18-scratch", 512, None, "cpu")
    assert facts.parameters == 11_176_512
    assert facts.frame_ms > 0
    assert encoder.training


def test_the_time_is_measured_at_the_size_of_the_frame():
    encoder = load_encoder("pointnet-dp3")
    delays = {8: 0.005, 16: 0.1}
    encoder.network.register_forward_pre_hook(lambda _, inputs: time.sleep(delays[inputs[0].shape[1]]))
    assert (
        5 <= describe(encoder, points=8, repeats=3).frame_ms < 100 <= describe(encoder, points=16, repeats=3).frame_ms
    )


def test_a_measurement_leaves_weights_and_mode_as_they_were():
    encoder = load_encoder("resnet18-scratch", norm="batch", allow_batch_norm=True)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    describe(encoder, frame_px=32, repeats=1)
    assert encoder.network.resnet.trunk.bn1.training
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


def test_blind_costs_nothing():
    facts = describe(load_encoder("blind"))
    assert (facts.parameters, facts.features, facts.frame_ms) == (0, 0, 0.0)


def test_a_measurement_without_a_pass_is_refused():
    with pytest.raises(ValueError, match="repeats: expected 1 or more, got 0"):
        describe(load_encoder("blind"), repeats=0)
