import sys
from dataclasses import replace

import pytest
import torch

from policy_examples import latency
from policy_examples.encoders import load_encoder
from policy_examples.policy import DiffusionPolicy
from policy_examples.policy_shape import PolicyShape

BLIND = PolicyShape(
    state_size=9, action_size=4, horizon=8, observation_steps=2, action_steps=6, channels=(8,), cameras=()
)


def test_each_chunk_is_timed_after_the_warm_up():
    policy = DiffusionPolicy(BLIND, [load_encoder("blind")]).eval()
    decisions = []
    policy.unet.register_forward_hook(lambda *_: decisions.append(1))
    measured = latency.measure(policy, latency.made_up_observation(policy, {}), chunks=3, warmup=2)
    assert len(decisions) == (2 + 3) * policy.shape.inference_steps
    assert 0 < measured.median_ms <= measured.p95_ms


def test_95_of_100_chunks_are_decided_within_p95(monkeypatch):
    policy, times = DiffusionPolicy(BLIND, [load_encoder("blind")]).eval(), iter(range(10**6))
    clock = iter(time for chunk in range(100) for time in (10.0 * chunk, 10.0 * chunk + 0.001 * chunk))
    monkeypatch.setattr(latency.time, "perf_counter", lambda: next(clock, next(times)))
    measured = latency.measure(policy, latency.made_up_observation(policy, {}), chunks=99, warmup=1)
    assert measured.p95_ms == pytest.approx(95, abs=0.01)  # of 1, 2, ... 99 ms


def test_control_is_at_most_as_fast_as_the_actions_of_a_chunk_over_its_time():
    measured = latency.Latency(median_ms=50, p95_ms=80, action_steps=8)
    assert measured.control_hz == 160
    assert str(measured).endswith("at most 160 Hz of control, deciding while acting")


@pytest.mark.parametrize(
    ("cameras", "encoder"),
    [(("image", "image_wrist"), "resnet18-scratch"), (("point_cloud",), "pointnet-dp3"), ((), "blind")],
)
def test_a_made_up_observation_is_one_that_the_policy_reads(cameras, encoder):
    policy = DiffusionPolicy(replace(BLIND, cameras=cameras), [load_encoder(encoder)]).eval()
    observation = latency.made_up_observation(policy, {"image_size_px": 40, "points": 16})
    assert set(observation) == set(policy.reads)
    assert policy.predict_action(observation).shape == (1, 6, 4)


def test_the_command_prints_a_line_a_device(tmp_path, monkeypatch, capsys):
    DiffusionPolicy(BLIND, [load_encoder("blind")]).save(tmp_path / "policy", origin={})
    arguments = ["--policy", f"{tmp_path}/policy", "--chunks", "2", "--warmup", "1", "--no-compile"]
    monkeypatch.setattr(sys, "argv", ["latency", *arguments])
    latency.main()
    line, *others = capsys.readouterr().out.splitlines()
    assert "threads, eager: " in line
    assert "ms per chunk of 6 actions (p95 " in line
    assert "Hz of control" in line
    assert len(others) == torch.cuda.device_count()


def test_a_folder_without_a_policy_is_named_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["latency", "--policy", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"^xdistill latency: policy: .* holds no policy"):
        latency.main()


def test_at_least_one_chunk_is_timed():
    with pytest.raises(ValueError, match="chunks: expected 1 or more, got 0"):
        latency.Config(chunks=0)


def test_no_thread_is_too_few():
    with pytest.raises(ValueError, match="threads: expected 1 or more, or None, got 0"):
        latency.Config(threads=0)
