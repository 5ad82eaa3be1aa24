from dataclasses import replace

import pytest
import torch

from distillation.ablation_encoders import AblationEncoder
from distillation.student_files import load_student
from distillation.train import train
from tests.distillation.tiny_runs import SMALL, command, losses, tiny_config, wait_for_steps, weights


def test_a_student_of_another_resnet_learns_and_loads(tmp_path, parquet, teacher_spec):
    config = replace(tiny_config(tmp_path, parquet, teacher_spec, "resnet34"), epochs=2)
    encoder = load_student(train(config))
    curve = losses(config.output)
    assert sum(curve[-3:]) < sum(curve[:3])
    assert encoder.teacher_embedding(torch.zeros(1, 3, 32, 32)).shape == (1, 192)


@pytest.mark.parametrize("backbone", ["timm/test_vit", SMALL])
def test_a_run_of_another_backbone_resumes_to_the_same_weights_and_its_student_loads(
    tmp_path, parquet, teacher_spec, backbone
):
    config = tiny_config(tmp_path, parquet, teacher_spec, backbone)
    config = replace(config, epochs=8)
    process = command(config)
    wait_for_steps(config, process, 3)
    process.terminate()
    printed, _ = process.communicate(timeout=120)
    assert "SIGTERM: saved at step" in printed
    assert 3 <= len(losses(config.output)) < 24

    folder = train(config)
    undisturbed = replace(config, output=config.output / "undisturbed")
    train(undisturbed)
    curve = losses(config.output)
    assert curve == losses(undisturbed.output)
    assert sum(curve[-3:]) < sum(curve[:3])
    expected = weights(undisturbed.output)
    for name, value in weights(config.output).items():
        assert torch.equal(value, expected[name]), name

    encoder = load_student(folder)
    assert isinstance(encoder, AblationEncoder)
    assert encoder.backbone == backbone
    assert encoder.teacher_embedding(torch.zeros(1, 3, 32, 32)).shape == (1, 192)
    assert encoder.teacher_embedding(torch.zeros(1, 3, 32, 32)).isfinite().all()


def test_views_that_would_grow_through_sizes_that_a_transformer_cannot_take_are_refused_at_once(
    tmp_path, parquet, teacher_spec
):
    config = tiny_config(tmp_path, parquet, teacher_spec, "timm/vit_small_patch32_224")
    config = replace(config, epochs=6, first_image_size=64, image_size=96)
    with pytest.raises(ValueError, match="timm/vit_small_patch32_224 takes multiples of 32 px, .* 80 px in some"):
        train(config)
    assert not (config.output / "checkpoint.pt").exists()
