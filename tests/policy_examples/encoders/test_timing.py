import time

import torch

from policy_examples.encoders import frame_ms, load_encoder


def test_the_time_is_measured_at_the_size_of_the_frame():
    encoder = load_encoder("pointnet-dp3")
    delays = {8: 0.005, 16: 0.1}
    encoder.network.register_forward_pre_hook(lambda _, inputs: time.sleep(delays[inputs[0].shape[1]]))
    few, many = (frame_ms(encoder, 64, points, repeats=3) for points in delays)
    assert few is not None
    assert many is not None
    assert 5 <= few < 100 <= many


def test_a_measurement_leaves_weights_and_mode_as_they_were():
    encoder = load_encoder("resnet18-scratch", norm="batch", allow_batch_norm=True)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    assert (frame_ms(encoder, 32, 8, repeats=1) or 0) > 0
    assert encoder.training
    assert encoder.network.resnet.trunk.bn1.training
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


def test_blind_takes_no_time():
    assert frame_ms(load_encoder("blind"), 64, 8) is None
