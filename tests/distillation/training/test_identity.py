import json

import pytest
import torch

from distillation.datasets import open_images
from distillation.students import Student
from distillation.teachers import load_teacher
from distillation.training.identity import describe_making, identify
from distillation.training.supervision import OnlineTeachers
from tests.distillation.tiny_runs import SMALL


@pytest.fixture(scope="module")
def supervision(teacher_spec):
    return OnlineTeachers([load_teacher(teacher_spec, None)], torch.device("cpu"), maps=False)


def test_runs_share_what_their_students_are_a_function_of(parquet, bank, supervision):
    images, student = open_images([parquet]), Student((192,), SMALL)
    facts = identify({"lr": 0.1, "ema": None}, images, supervision, student)
    assert facts == identify({"lr": 0.1, "ema": None}, images, supervision, student)
    assert (facts["lr"], facts["ema"], facts["targets"], facts["warm_start"]) == ("0.1", "None", "online", "None")

    others = [
        identify({"lr": 0.2, "ema": None}, images, supervision, student),
        identify({"lr": 0.1, "ema": None}, open_images([bank]), supervision, student),
    ]
    warm = Student((192,), SMALL)
    warm.origin["started_from"] = {"weights_sha256": "ab12"}
    others.append(identify({"lr": 0.1, "ema": None}, images, supervision, warm))
    differing = [{key for key in facts if facts[key] != other[key]} for other in others]
    assert differing == [{"lr"}, {"images_fingerprint"}, {"warm_start"}]


def test_what_an_encoder_says_about_its_making_survives_json(parquet, supervision):
    made = describe_making({"loss": ["mse"]}, open_images([parquet]), supervision)
    assert json.loads(json.dumps(made))["settings"] == {"loss": ["mse"]}
    assert (made["teacher"], made["images"], made["targets"]) == ("vit_random", 24, "online")
    assert made["teachers"][0]["width"] == 192
    assert "targets_made" not in made  # nobody computed them before
