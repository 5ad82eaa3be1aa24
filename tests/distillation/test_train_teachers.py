from dataclasses import replace

import torch

from distillation.datasets import Views, epoch_order, open_images
from distillation.student_files import load_student
from distillation.teachers import load_teacher
from distillation.train import imitation_loss, train
from distillation.training.standardization import statistics
from distillation.training.supervision import OnlineTeachers, first_embeddings
from distillation.views import AUGMENTATIONS
from tests.distillation.saved_teachers import save_timm
from tests.distillation.tiny_runs import tiny_config, weights


def test_two_teachers_of_other_widths_and_sizes_are_each_standardised_and_estimated_as_they_are(
    tmp_path, parquet, teacher_spec
):
    other, _ = save_timm(tmp_path, "test_vit", img_size=48)
    specs = (teacher_spec, other)
    config = replace(tiny_config(tmp_path, parquet, teacher_spec), teacher=specs, embedding="avg", epochs=24)
    folder = train(config)

    teachers = [load_teacher(spec, None, "avg") for spec in specs]
    widths = [teacher.num_features for teacher in teachers]
    assert widths == [192, 64]
    assert [teacher.image_size for teacher in teachers] == [32, 48]
    images = open_images((parquet,))
    supervision = OnlineTeachers(teachers, torch.device("cpu"), maps=False)
    views = Views(images, config.seed, AUGMENTATIONS["paper"], supervision.view_sizes)
    targets = first_embeddings(supervision, views, epoch_order(images, config.seed, 0), 7, workers=0)  # (24, 192 + 64)
    mean, std = statistics(targets)

    learned = weights(config.output)
    torch.testing.assert_close(learned["target_mean"], mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(learned["target_std"], std, rtol=1e-4, atol=1e-5)
    for part in learned["target_std"].split(widths):
        assert (part - 1).abs().max() > 0.1  # so raw and standardised embeddings differ

    views = Views(images, config.seed, AUGMENTATIONS["paper"])
    shown = torch.stack([views[index, 0, 32]["student"] for index in epoch_order(images, config.seed, 0)])
    estimates = load_student(folder).teacher_embedding(shown)
    errors = (estimates - targets).square().mean(dim=0).split(widths)
    for error, deviation in zip(errors, std.split(widths), strict=True):
        assert (error / deviation.square()).mean() < 1  # nearer to the embeddings than their mean is


def test_what_is_imitated_is_standardised_and_queued(tmp_path, parquet, teacher_spec, monkeypatch):
    config = tiny_config(tmp_path, parquet, teacher_spec)
    config = replace(config, loss=("mse", "relational"), queue_size=16, standardize=True, epochs=1)
    imitated = []

    def recorded(student, objective, views, targets, target_map):
        imitated.append(targets)
        return imitation_loss(student, objective, views, targets, target_map)

    monkeypatch.setattr("distillation.train.imitation_loss", recorded)
    train(config)
    targets = torch.cat(imitated)  # of all images, whose first views the statistics are of
    assert len(targets) == 24
    mean, std = statistics(targets)
    torch.testing.assert_close(mean, torch.zeros(192), rtol=0, atol=1e-4)
    torch.testing.assert_close(std, torch.ones(192), rtol=1e-3, atol=0)

    queue = torch.load(config.output / "checkpoint.pt", weights_only=True)["objective"]["queues.0.embeddings"]
    newest = torch.nn.functional.normalize(targets[8:], dim=1)  # of the last two steps
    torch.testing.assert_close(queue[torch.tensor([*range(8, 16), *range(8)])], newest)
