import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from policy_examples.benchmarking.demonstrations import draw_of, first_seed
from policy_examples.benchmarking.protocols import PROTOCOLS, PresetName
from policy_examples.benchmarking.runs import EncoderChoice, Run
from policy_examples.benchmarking.stages import collect_once, epoch_steps, train_config
from policy_examples.store import Demonstrations, save_demonstrations


def test_demonstrations_of_other_settings_are_refused(tmp_path):
    """Those of `smoke` lie where `cpu` looks: 2 episodes of 32 px instead of 10 of 96 px."""
    run, store = Run("reach", EncoderChoice("blind"), 2, "cpu"), tmp_path / "draw.zarr"
    origin = {"env": "metaworld", "task": "reach", "render": "fast", "image_size_px": 32, "points": None}
    origin |= {"first_seed": first_seed(draw_of("reach", 2)), "steps_after_success": 10, "source": "expert"}
    images, states = np.zeros((4, 32, 32, 3), np.uint8), np.zeros((4, 9), np.float32)
    made = Demonstrations(images, states, np.zeros((4, 4), np.float32), np.array([2, 4]), origin)
    save_demonstrations(made, store)
    collect_once(replace(run, preset="smoke"), store, points=False, processes=1, experts=None)
    expected = (
        r"output: expected demonstrations with episodes 10, image_size_px 96 in .*, got episodes 2, image_size_px 32"
    )
    with pytest.raises(ValueError, match=expected):
        collect_once(run, store, points=False, processes=1, experts=None)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Ten episodes of 100 steps without pictures to speak of."""
    path = tmp_path_factory.mktemp("demonstrations") / "demonstrations.zarr"
    rows = 1000
    images, states = np.zeros((rows, 1, 1, 3), np.uint8), np.zeros((rows, 9), np.float32)
    ends = np.arange(100, rows + 1, 100)
    save_demonstrations(Demonstrations(images, states, np.zeros((rows, 4), np.float32), ends), path)
    return path


def settings(store: Path, preset: str, **changes: object):
    run = replace(Run("reach", EncoderChoice("blind"), 2, preset), **changes)  # type: ignore[arg-type]
    return train_config(run, store, Path("out"), processes=4)


def test_a_run_goes_on_in_the_precision_that_it_began_in(store, tmp_path):
    """Which a machine without a matrix unit would not choose by itself."""
    run = Run("reach", EncoderChoice("blind"), 2, "cpu")
    assert train_config(run, store, tmp_path, processes=1).bf16 is None
    (tmp_path / "config.json").write_text(json.dumps({"config": {"bf16": True}}))
    assert train_config(run, store, tmp_path, processes=1).bf16 is True
    assert train_config(replace(run, bf16=False), store, tmp_path, processes=1).bf16 is False


def test_the_published_protocol_evaluates_twenty_episodes_every_200_epochs(store):
    expected: dict[PresetName, tuple[int, int, int]] = {"dp3": (16, 2, 8), "dp3-paper": (4, 2, 3)}
    for preset, sizes in expected.items():
        config = settings(store, preset)
        assert (config.eval_every_epochs, config.eval_episodes, config.epochs) == (200, 20, 1500)
        assert (config.horizon, config.observation_steps, config.action_steps) == sizes
        assert (PROTOCOLS[preset].demonstrations, PROTOCOLS[preset].image_size_px("adroit-pen")) == (10, 84)
        assert PROTOCOLS[preset].scene("reach", points=False).image_size_px == 128


def test_the_cpu_preset_evaluates_three_times(store):
    """Evaluations come after every so many epochs and after the last step."""
    config = settings(store, "cpu")
    every = (config.eval_every_epochs or 0) * epoch_steps(config)
    assert config.steps is not None
    evaluated = {*range(every, config.steps + 1, every), config.steps}
    assert len(evaluated) == 3
    assert min(evaluated) < config.steps / 2


def test_a_run_has_its_own_length_seed_and_encoder(store):
    choice = EncoderChoice("xdistill", "folder", "group", "spatial_softmax")
    config = settings(store, "dp3", steps=7, encoder=choice)
    assert (config.steps, config.epochs, config.seed, config.eval_processes) == (7, None, draw_of("reach", 2), 4)
    assert settings(store, "dp3", shared_draws=True).seed == 2
    assert (config.encoder, config.checkpoint, config.norm, config.readout) == (
        "xdistill", "folder", "group", "spatial_softmax"
    )  # fmt: skip


def test_an_encoder_learns_at_its_share_of_the_rate_or_not_at_all(store):
    slow, fixed, plain = (settings(store, "cpu", encoder=EncoderChoice("xdistill", lr=lr)) for lr in (0.3, 0, 1))
    assert (slow.encoder_lr_multiplier, slow.freeze_encoder) == (0.3, False)
    assert (fixed.encoder_lr_multiplier, fixed.freeze_encoder) == (1, True)
    assert (plain.encoder_lr_multiplier, plain.freeze_encoder) == (1, False)


@pytest.mark.parametrize(("asked", "trained"), [(None, None), ("group", "group"), ("batch-trap", "batch")])
def test_live_batch_norm_is_trained_only_where_the_trap_is_asked_for(store, asked, trained):
    config = settings(store, "cpu", encoder=EncoderChoice("xdistill", norm=asked))
    assert (config.norm, config.show_batch_norm_trap) == (trained, asked == "batch-trap")


def test_adroits_demonstrations_are_never_cut():
    assert PROTOCOLS["cpu"].cut("drawer-open") == 10
    assert PROTOCOLS["cpu"].cut("adroit-door") is None
    assert PROTOCOLS["dp3"].cut("drawer-open") is None


def test_points_are_in_the_scene_of_encoders_that_read_them_alone():
    assert PROTOCOLS["dp3"].scene("reach", points=True).points == 512
    assert PROTOCOLS["dp3"].scene("reach", points=False, shift="light") == replace(
        PROTOCOLS["dp3"].scene("reach", points=False), shift="light"
    )
    assert PROTOCOLS["dp3"].scene("reach", points=False).points is None
