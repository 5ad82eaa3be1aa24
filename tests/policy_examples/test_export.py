import json
import sys
from dataclasses import replace

import onnxruntime
import pytest
import torch

from policy_examples import export
from policy_examples.encoders import EncoderName, load_encoder
from policy_examples.export import ActionChunk, Config, export_policy
from policy_examples.policy import DiffusionPolicy
from policy_examples.policy_shape import PolicyShape
from xdistill_encoder.hosts.needs import TRIED

SHAPE = PolicyShape(
    state_size=9,
    action_size=4,
    horizon=4,
    observation_steps=2,
    action_steps=3,
    channels=(32, 64),
    inference_steps=2,
    step_embedding_size=16,
)

TINY = replace(SHAPE, channels=(32,), inference_steps=1)
"""Its graph is written in a quarter of the time."""


@pytest.fixture
def saved(tmp_path):
    """(shape, name of an encoder) -> config that exports a policy of 64 px frames whose actions have units."""

    def save(shape: PolicyShape, encoder: EncoderName, **changes) -> Config:
        torch.manual_seed(0)
        policy = DiffusionPolicy(shape, [load_encoder(encoder)])
        policy.agent_pos.fit(torch.randn(20, shape.state_size))
        policy.actions.fit(5 + 3 * torch.randn(20, shape.action_size))
        policy.save(tmp_path / "policy", {"image_size_px": 64, "task": "door-open"})
        return Config(tmp_path / "policy", tmp_path / "policy.onnx", **changes)

    return save


def chunk(config: Config, observation: dict, noise: torch.Tensor) -> torch.Tensor:
    """What ONNX Runtime makes of it."""
    session = onnxruntime.InferenceSession(str(config.output), providers=["CPUExecutionProvider"])
    (action,) = session.run(["action"], {**{key: v.numpy() for key, v in observation.items()}, "noise": noise.numpy()})
    return torch.from_numpy(action)


@pytest.mark.parametrize(
    "shape", [SHAPE, replace(TINY, crop_px=48, prediction="epsilon"), replace(TINY, horizon=8, action_steps=6)]
)
def test_a_file_gives_the_policys_actions_for_any_batch(saved, shape):
    config = saved(shape, "resnet18-scratch")
    report = export_policy(config)
    assert report.relative_error < 1e-4
    policy, _ = DiffusionPolicy.load(config.policy)
    for rows in (1, 3):
        observation = {
            "image": torch.randint(0, 256, (rows, 2, 3, 64, 64), dtype=torch.uint8),
            "agent_pos": torch.randn(rows, 2, 9),
        }
        noise = torch.randn(rows, shape.horizon, 4)
        with torch.no_grad():
            expected = policy.denoise(noise, policy.condition(observation))
        torch.testing.assert_close(chunk(config, observation, noise), expected, rtol=1e-3, atol=1e-3)


def test_half_precision_halves_the_file_and_keeps_float32_outside(saved):
    config = saved(TINY, "xdistill", precision="fp16")
    assert export_policy(config).relative_error < export.BOUNDS["fp16"]
    policy, _ = DiffusionPolicy.load(config.policy)
    parameters = sum(parameter.numel() for parameter in policy.parameters())
    assert config.output.stat().st_size < 0.55 * 4 * parameters  # of four bytes in float32
    observation = {
        "image": torch.randint(0, 256, (1, 2, 3, 64, 64), dtype=torch.uint8),
        "agent_pos": torch.randn(1, 2, 9),
    }
    assert chunk(config, observation, torch.randn(1, 4, 4)).dtype == torch.float32


def test_a_blind_policy_and_its_report_name_their_inputs(saved):
    config = saved(replace(TINY, cameras=()), "blind")
    export_policy(config)
    report = json.loads((config.output.with_name("policy.onnx.json")).read_text())
    assert report["inputs"] == {
        "agent_pos": "(batch, 2, 9) float32",
        "noise": "(batch, 4, 4) float32, mean 0, variance 1",
    }
    assert report["origin"]["task"] == "door-open"
    session = onnxruntime.InferenceSession(str(config.output), providers=["CPUExecutionProvider"])
    assert json.loads(session.get_modelmeta().custom_metadata_map["origin"])["task"] == "door-open"


def test_what_cannot_be_exported_is_told_and_nothing_is_written(saved, monkeypatch, tmp_path):
    with pytest.raises(ValueError, match="policy: DDPM draws noise at each of its steps"):
        export_policy(saved(replace(SHAPE, cameras=(), sampler="ddpm"), "blind"))
    with pytest.raises(ValueError, match=r"output: expected a name that ends in .onnx, got 'policy.pt'"):
        Config(output=tmp_path / "policy.pt")
    monkeypatch.setitem(export.BOUNDS, "fp32", 0.0)
    with pytest.raises(ValueError, match="of the outputs' norm away from PyTorch, more than the 0 accepted for fp32"):
        export_policy(saved(replace(TINY, cameras=()), "blind"))
    assert [file.name for file in tmp_path.iterdir()] == ["policy"]


def test_the_command_says_how_exact_the_file_is_or_what_is_wrong(saved, monkeypatch, capsys, tmp_path):
    config = saved(replace(TINY, cameras=()), "blind")
    named = ["xdistill export-policy", "--policy", str(config.policy), "--output", str(config.output)]
    monkeypatch.setattr(sys, "argv", named)
    export.main()
    assert "relative error" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["xdistill export-policy", "--policy", str(tmp_path / "none")])
    with pytest.raises(SystemExit, match=r"^xdistill export-policy: policy: .*none holds no policy"):
        export.main()


def test_half_precision_leaves_the_units_of_the_data_in_float32():
    policy = DiffusionPolicy(replace(SHAPE, cameras=()), [load_encoder("blind")])
    policy.agent_pos.fit(torch.tensor([[0.6], [0.6003]]).expand(2, SHAPE.state_size))  # half rounds to 0.0005 there
    graph = ActionChunk(policy, torch.half)
    assert graph.policy.agent_pos.low.dtype == graph.policy.actions.low.dtype == torch.float32
    observation = {"agent_pos": torch.full((1, 2, SHAPE.state_size), 0.60015)}
    assert graph(observation, torch.zeros(1, SHAPE.horizon, SHAPE.action_size)).isfinite().all()


def test_an_untried_version_of_onnx_is_told_before_anything_is_done(monkeypatch, tmp_path):
    monkeypatch.setitem(TRIED, "onnx", (("900", "901"),))
    with pytest.raises(ImportError, match="tried with onnx from 900 up to, without, 901; installed is "):
        export_policy(Config(policy=tmp_path / "none"))
