from pathlib import Path

import pytest

from policy_examples.benchmarking.runs import EncoderChoice, Run, parse_encoder, plan_runs
from xdistill_encoder.checkpoints import DEFAULT_CHECKPOINTS


@pytest.mark.parametrize(
    "text",
    [
        "xdistill",
        "xdistill,checkpoint=runs/mine,norm=group",
        "resnet18-scratch,readout=spatial_softmax",
        "xdistill,norm=group,lr=0.3",
        "xdistill,lr=0",
    ],
)
def test_an_encoders_name_comes_back_as_it_was_read(text):
    assert str(parse_encoder(text)) == text


def test_settings_of_an_encoder_are_read():
    assert parse_encoder("xdistill,norm=group") == EncoderChoice("xdistill", norm="group")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("r3m", "encoders: expected names among xdistill, .*blind.*, got 'r3m'"),
        ("xdistill,size=3", r"encoders: expected NAME\[,checkpoint=...\].*, got 'xdistill,size=3'"),
        ("xdistill,norm", r"encoders: expected NAME\[,checkpoint=...\].*, got 'xdistill,norm'"),
        ("xdistill,lr=", r"encoders: expected NAME\[,checkpoint=...\].*, got 'xdistill,lr='"),
        ("xdistill,lr=slow", "expected as lr a share of the head's learning rate, .* got 'xdistill,lr=slow'"),
        ("xdistill,lr=-1", "expected as lr a share of the head's learning rate, .* got 'xdistill,lr=-1'"),
        ("xdistill,lr=nan", "expected as lr a share of the head's learning rate, .* got 'xdistill,lr=nan'"),
        ("xdistill,lr=inf", "expected as lr a share of the head's learning rate, .* got 'xdistill,lr=inf'"),
        ("blind,lr=0.1", "blind has no weights that could learn; leave lr out of 'blind,lr=0.1'"),
        ("xdistill,norm=batch", "expected a norm among frozen, group, batch-trap, got .* nothing updates"),
    ],
)
def test_what_is_no_encoder_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_encoder(text)


def test_every_seed_of_every_task_meets_every_encoder():
    runs = plan_runs(["reach", "sweep"], ["xdistill", "blind"], [0, 1], "cpu")
    assert len(set(runs)) == 8
    assert [(run.seed, run.task, run.encoder.name) for run in runs[:3]] == [
        (0, "reach", "xdistill"), (0, "reach", "blind"), (0, "sweep", "xdistill")
    ]  # fmt: skip


def test_a_run_is_repeated_by_its_command_alone():
    run = Run("reach", EncoderChoice("xdistill", checkpoint="a folder"), 1, "cpu", steps=50)
    assert run.command() == (
        "xdistill benchmark --tasks reach --encoders 'xdistill,checkpoint=a folder' --seeds 1 --preset cpu --steps 50"
    )
    assert run.command("light") == run.command() + " --shifts light"


def test_encoders_share_demonstrations_but_no_folder():
    runs = plan_runs(["reach"], ["xdistill", "xdistill,norm=group", "blind"], [0, 1], "cpu")
    runs += plan_runs(["reach"], ["blind"], [0], "cpu", demonstrations=5) + plan_runs(["reach"], ["blind"], [0], "dp3")
    runs += plan_runs(["reach"], ["blind"], [0], "cpu", steps=5)
    output = Path("out")
    assert len({run.folder(output) for run in runs}) == len(runs) == 9
    assert len({run.store(output, points=False) for run in runs}) == 4  # two seeds; five demonstrations; another preset
    assert runs[0].store(output, points=True) != runs[0].store(output, points=False)


def test_an_encoders_own_norm_makes_no_other_run_and_twice_the_same_is_refused():
    assert parse_encoder("xdistill,norm=frozen,readout=pooled") == parse_encoder("xdistill")
    assert parse_encoder("resnet18-scratch,norm=group") == parse_encoder("resnet18-scratch")
    assert parse_encoder("xdistill,lr=1.0") == parse_encoder("xdistill")
    assert parse_encoder("xdistill,lr=0.0") == parse_encoder("xdistill,lr=0") != parse_encoder("xdistill")
    with pytest.raises(ValueError, match="encoders: expected each once, got xdistill again as xdistill"):
        plan_runs(["reach"], ["xdistill", "xdistill,norm=frozen"], [0], "cpu")


def test_the_default_checkpoint_by_its_name_makes_no_other_run():
    for norm, name in (("frozen", DEFAULT_CHECKPOINTS["batch"]), ("group", DEFAULT_CHECKPOINTS["group"])):
        assert parse_encoder(f"xdistill,checkpoint={name},norm={norm}") == parse_encoder(f"xdistill,norm={norm}")
        assert parse_encoder(f"xdistill,checkpoint={name}") == parse_encoder(f"xdistill,norm={norm}")


def test_a_norm_beside_a_checkpoint_stays_so_that_the_checkpoint_can_refuse_it():
    wrong = parse_encoder(f"xdistill,checkpoint={DEFAULT_CHECKPOINTS['group']},norm=frozen")
    assert (wrong.checkpoint, wrong.norm) == (DEFAULT_CHECKPOINTS["group"], "frozen")
    assert parse_encoder("xdistill,checkpoint=mine,norm=frozen").norm == "frozen"


def test_tasks_draw_apart_unless_they_are_asked_to_share():
    for shared, draws in ((False, 2), (True, 1)):
        runs = plan_runs(["reach", "sweep"], ["xdistill", "blind"], [1], "cpu", shared_draws=shared)
        assert len({run.draw for run in runs}) == draws
        assert all(run.command().endswith("--shared-draws") == shared for run in runs)
        assert len({run.store(Path("out"), points=False) for run in runs}) == 2  # a task each
    assert runs[0].draw == 1
    own = plan_runs(["reach"], ["xdistill"], [1], "cpu")[0]
    assert own.folder(Path("out")) != runs[0].folder(Path("out"))
    assert own.store(Path("out"), points=False) != runs[0].store(Path("out"), points=False)


def test_precision_is_part_of_a_run():
    runs = [plan_runs(["reach"], ["blind"], [0], "cpu", bf16=bf16)[0] for bf16 in (None, True, False)]
    assert len({run.folder(Path("out")) for run in runs}) == 3
    assert runs[2].command().endswith("--preset cpu --bf16 False")


def test_seeds_whose_demonstrations_would_be_evaluation_episodes_are_refused():
    with pytest.raises(ValueError, match="seeds: expected 0 to 999, got 1000: later placements belong to evaluation"):
        plan_runs(["reach"], ["blind"], [0, 1000], "cpu")


def test_the_presets_own_number_of_demonstrations_makes_no_other_run():
    asked, default = (plan_runs(["reach"], ["blind"], [0], "cpu", demonstrations=number) for number in (10, None))
    assert asked == default


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": [0, 0]}, "seeds: expected one or more, each once, got 0, 0"),
        ({"encoders": []}, "encoders: expected one or more, each once, got none"),
        ({"seeds": [-1]}, "seeds: expected 0 to 999, got -1"),
        ({"preset": "gpu"}, "preset: expected one of dp3, dp3-paper, cpu, smoke, got 'gpu'"),
        ({"steps": 0}, "steps: expected 1 or more, got 0"),
        ({"demonstrations": 0}, "demonstrations: expected 1 or more, got 0"),
        (
            {"demonstrations": 1001},
            "demonstrations: expected at most 1000, got 1001",
        ),
    ],
)
def test_impossible_plans_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        plan_runs(**{"tasks": ["reach"], "encoders": ["blind"], "seeds": [0], "preset": "cpu"} | changes)
