"""The README's code, run."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from statistics import mean, stdev

import pytest

from policy_examples.benchmarking.comparison import Metric, collect_scores, compare
from policy_examples.benchmarking.results import curve_of, read_rows
from policy_examples.benchmarking.statistics import differences, estimate, task_means
from xdistill_encoder import bundled_checkpoints
from xdistill_encoder.checkpoints import DEFAULT_CHECKPOINTS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
RESULTS = (ROOT / "docs" / "results.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=[block.splitlines()[0] for block in BLOCKS])
def test_a_python_block_of_the_readme_runs_by_itself(block, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "XDISTILL_CLONE": str(ROOT)}
    subprocess.run([sys.executable, "-W", "error", "-c", block], check=True, cwd=tmp_path, env=environment)


def test_the_first_20_lines_show_what_it_is_in_three_lines_of_use():
    top = "\n".join(README.splitlines()[:20])
    assert "```python" in top
    assert "from_pretrained" in top


def test_every_command_and_path_that_the_readme_names_exists():
    from xdistill_encoder.cli import COMMANDS

    commands = set(re.findall(r"xdistill ([a-z][a-z-]*)", README))
    assert commands <= {name.partition(" ")[0] for name in COMMANDS}
    tree = README[README.index("## The tree") :]
    for path in re.findall(r"^([\w./]+/|[\w]+\.py)\s", tree, flags=re.MULTILINE):
        assert (ROOT / path).exists(), path


def test_the_success_rates_are_those_of_the_benchmarks_table():
    table = (ROOT / "policy_examples" / "results" / "benchmark.md").read_text()
    tasks = {  # of the table task by task, that of all encoders side by side: ° marks one that `blind` solves
        cells[0].rstrip("°"): cells[1:5]
        for cells in map(
            cells_of, re.findall(r"^\| [a-z-]+°? \| [a-z ]+ \| [\d.]+ \| [\d.]+ \| [\d.]+ \|.*", table, re.MULTILINE)
        )
    }
    section = RESULTS[RESULTS.index("## Three seeds on one GPU") : RESULTS.index("## With 5, 10 and 25")]
    stated = {cells[0]: cells for cells in map(cells_of, section.splitlines()) if cells[0] in tasks}
    assert stated.keys() == tasks.keys() != set()
    for task, (difficulty, *rates) in tasks.items():
        assert stated[task][-3:] == rates, task
        assert difficulty in (stated[task][1], "adroit")
    means = re.findall(r"^\| (blind|resnet18-scratch|xdistill) \| .* \| ([\d.]+)[^|]* \|$", table, re.MULTILINE)[:3]
    (six,) = re.findall(r"\*mean of these six\* \| \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|", section)
    assert [mean for _, mean in means] == list(six)
    (gap,) = re.findall(r"^\| resnet18-scratch \| \+([\d.]+) \[\+([\d.]+), \+([\d.]+)\] \|", table, re.MULTILINE)
    details = " ".join(section.split())
    assert "its best evaluations solve {} points more, 95 % interval {} to {}".format(*gap) in details
    curves = table[table.index("## Over training") : table.index("## Task by task")]
    scratch, ours, gaps = (
        cells_of(re.findall(rf"^\| {line} \| .*", curves, re.MULTILINE)[0])[1:]
        for line in ("resnet18-scratch", "xdistill", "xdistill minus resnet18-scratch")
    )
    (early, two_thirds, last), (its_early, its_two_thirds, its_last) = (
        [cell.partition(" ")[0] for cell in cells] for cells in (ours, scratch)
    )
    stated_early = f"after a third of the training it solves {early} against {its_early} %, after two thirds "
    assert f"{stated_early}{two_thirds} against {its_two_thirds};" in details
    gap, low, high = re.findall(r"\+([\d.]+)", gaps[-1])
    assert f"its last ones {gap} points more, {low} to {high}." in details
    assert f"The finished policies solve {last} % with distilled weights, {its_last} % from scratch." in details
    assert f"({last} against {its_last} %)" in " ".join(README.split())


def test_the_table_over_numbers_of_demonstrations_is_that_of_its_rows():
    rows = read_rows(ROOT / "policy_examples" / "results" / "benchmark_demonstrations.csv")
    bundled = bundled_checkpoints()[DEFAULT_CHECKPOINTS["batch"]].weights_sha256[:12]
    assert {row.weights for row in rows if row.encoder == "xdistill"} == {bundled}
    for name, encoder in (("from scratch", "resnet18-scratch"), ("bundled encoder", "xdistill")):
        rates = {row.demonstrations: row.best for row in rows if row.encoder == encoder}
        assert list(rates) == [5, 10, 25]
        told = " | ".join(f"{100 * (rate or 0):.0f}" for rate in rates.values())
        assert f"| {name} | {told} |" in RESULTS
    assert all(row.best == row.last for row in rows)


def test_the_success_of_the_bundled_weights_alone_is_that_of_their_rows():
    rows = read_rows(ROOT / "policy_examples" / "results" / "benchmark_bundled.csv")
    bundled = bundled_checkpoints()[DEFAULT_CHECKPOINTS["batch"]].weights_sha256[:12]
    assert {row.weights for row in rows if row.encoder == "xdistill"} == {bundled}
    pairs = {(row.task, row.seed) for row in rows}
    assert len(pairs) == 18 == len(rows) / 2
    comparison = compare(rows)
    metrics: tuple[Metric, ...] = ("last", "best")
    for metric, told in zip(metrics, re.findall(r"^\| of the (?:finished|best) .*", README, re.MULTILINE), strict=True):
        scratch, ours = (comparison.scores(encoder, metric) for encoder in ("resnet18-scratch", "xdistill"))
        gap = estimate(differences(ours, scratch), limits=(-1, 1))
        assert gap.low is not None
        assert gap.high is not None
        means = [f"{100 * estimate(scores).mean:.1f}" for scores in (scratch, ours)]
        difference = f"{100 * gap.mean:.1f} [{100 * gap.low:.1f}, {100 * gap.high:.1f}]"
        assert cells_of(told)[1:] == [*means, difference]
        size, low, high = (f"{100 * value:.1f}" for value in (gap.mean, gap.low, gap.high))
        sentence = {
            "best": f"The best evaluations differ by {size} points, 95 % interval {low} to {high}.",
            "last": f"The last ones differ by {size}; their interval, {low} to {high},",
        }
        assert sentence[metric] in " ".join(RESULTS.split())


def test_the_differences_of_whole_seeds_are_those_of_the_bundled_rows():
    comparison = compare(read_rows(ROOT / "policy_examples" / "results" / "benchmark_bundled.csv"))
    told = {}
    for metric in ("best", "last"):
        ours, scratch = (comparison.scores(encoder, metric) for encoder in ("xdistill", "resnet18-scratch"))
        gaps = [[seeds[seed] for seeds in differences(ours, scratch).values()] for seed in (0, 1, 2)]
        means = [100 * mean(gap) for gap in gaps]
        reach = 4.302653 * stdev(means) / 3**0.5  # Student's t of two degrees of freedom, 95 %
        told[metric] = ([f"{value:.1f}" for value in means], f"{mean(means) - reach:.1f}", f"{mean(means) + reach:.1f}")
    (best, low, high), (last, its_low, its_high) = told["best"], told["last"]
    assert (
        f"differ by {best[0]}, {best[1]} and {best[2]} points in their best evaluations, by {last[0]}, {last[1]} and "
        f"{last[2]} in their last: each is above 0, but from three such numbers a t interval reaches from {low} to "
        f"{high} and from {its_low} to {its_high}."
    ) in " ".join(RESULTS.split())


def test_the_success_under_shifts_is_that_of_their_rows():
    rows = read_rows(ROOT / "policy_examples" / "results" / "benchmark_shifts.csv")
    bundled = read_rows(ROOT / "policy_examples" / "results" / "benchmark_bundled.csv")
    assert [row for row in rows if not row.shift and row not in bundled] == []
    tasks, encoders = ("drawer-open", "hammer", "stick-push"), ("resnet18-scratch", "xdistill")
    rates = {(row.shift, row.task, row.encoder): 100 * row.last for row in rows}
    shifts = list(dict.fromkeys(row.shift for row in rows))
    assert len(rates) == len(rows) == len(shifts) * len(tasks) * len(encoders)
    means = {(s, e): mean(rates[s, task, e] for task in tasks) for s in shifts for e in encoders}
    for shift in shifts:
        cells = [", ".join(f"{rates[shift, task, encoder]:.0f}" for encoder in encoders) for task in tasks]
        cells.append(", ".join(f"{means[shift, encoder]:.1f}" for encoder in encoders))
        assert f"| {f'`{shift}`' if shift else 'none'} | {' | '.join(cells)} |" in RESULTS
    left = {encoder: mean(means[shift, encoder] for shift in shifts if shift) for encoder in encoders}
    told = " ".join(README.split())
    for encoder, words in (
        ("xdistill", "from {:.1f} to {:.1f} % on average"),
        ("resnet18-scratch", "from {:.1f} to {:.1f}. Ahead"),
    ):
        assert words.format(means["", encoder], left[encoder]) in told
    crowded = [means["distractors", encoder] for encoder in reversed(encoders)]
    assert "with distractors ({:.1f} against {:.1f} %)".format(*crowded) in told


def test_the_success_by_task_is_that_of_the_bundled_rows_and_of_blind():
    folder = ROOT / "policy_examples" / "results"
    rows = read_rows(folder / "benchmark_bundled.csv")
    blind = [row for row in read_rows(folder / "benchmark.csv") if row.encoder == "blind"]
    rates = [
        task_means(collect_scores(runs, "last"))
        for runs in (blind, *([r for r in rows if r.encoder == name] for name in ("resnet18-scratch", "xdistill")))
    ]
    difficulties = {row.task: row.difficulty for row in rows}
    section = README[README.index("## Results in policies") : README.index("## Checkpoints")]
    stated = {cells[0]: cells[1:] for cells in map(cells_of, section.splitlines()) if cells[0] in difficulties}
    assert stated.keys() == difficulties.keys()
    for task, (difficulty, *told) in stated.items():
        assert difficulty == difficulties[task]
        assert told == [f"{100 * rate[task]:.1f}" for rate in rates], task
    (six,) = re.findall(r"\*mean of these six\* \| \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|", section)
    assert list(six) == [f"{100 * mean(rate.values()):.1f}" for rate in rates]


def test_what_other_weights_of_their_name_reached_is_told_apart():
    rows = read_rows(ROOT / "policy_examples" / "results" / "benchmark.csv")
    distilled = [row for row in rows if row.encoder == "xdistill"]
    bundled = bundled_checkpoints()[DEFAULT_CHECKPOINTS["batch"]].weights_sha256
    runs = {weights: {(r.task, r.seed) for r in distilled if r.weights == weights} for weights in ("", bundled[:12])}
    assert [len(found) for found in runs.values()] == [9, 9]
    assert sum(map(len, runs.values())) == len(distilled)
    means = {
        (encoder, weights): 100
        * mean(
            task_means(
                collect_scores([r for r in rows if r.encoder == encoder and (r.task, r.seed) in its], "best")
            ).values()
        )
        for encoder in ("xdistill", "resnet18-scratch")
        for weights, its in runs.items()
    }
    others, _ = ([f"{means[name, key]:.1f}" for name in ("xdistill", "resnet18-scratch")] for key in runs)
    assert f"these nine have a mean of {others[0]} %, from scratch {others[1]} %." in " ".join(RESULTS.split())


def test_the_table_of_norm_layers_is_that_of_its_rows():
    rows = {row.norm: row for row in read_rows(ROOT / "policy_examples" / "results" / "benchmark_norms.csv")}
    table = README[README.index("| success, % | after 45 steps") : README.index("With live batch norm the weights")]
    steps = re.findall(r"after (\d+)", table)
    stated = {cells[0].split("`")[1]: cells[1:] for cells in map(cells_of, re.findall(r"^\| `.*", table, re.MULTILINE))}
    assert stated.keys() == rows.keys() == {"frozen", "group", "batch"}
    for norm, row in rows.items():
        assert [str(step) for step, _ in curve_of(row)] == steps
        assert [f"{100 * success:.0f}" for _, success in curve_of(row)] == stated[norm]


def test_the_table_of_the_fine_tuned_teacher_is_that_of_its_rows():
    rows = read_rows(ROOT / "policy_examples/results/benchmark_teacher.csv")
    curves = {row.encoder: [f"{100 * success:.0f}" for _, success in curve_of(row)] for row in rows}
    names = {
        "timm": "its teacher, fine-tuned",
        "resnet18-scratch": "ResNet-18 from scratch",
        "xdistill": "bundled encoder",
    }
    for encoder, name in names.items():
        assert f"| {name} | {' | '.join(curves[encoder])} |" in RESULTS
    last = {encoder: curve[-1] for encoder, curve in curves.items()}
    stated = f"solved {last['timm']} % of coffee-push after {rows[0].steps} steps, a ResNet-18 from scratch "
    stated += f"{last['resnet18-scratch']} %, this encoder {last['xdistill']} %"
    assert stated in " ".join(README.split())


def test_the_silhouettes_of_a_tasks_stages_are_those_of_the_pictures_summary():
    summary = json.loads((ROOT / "docs/pictures/stages.json").read_text())
    found = {row["encoder"]: row for row in summary["rows"] if row["method"] == "features"}
    for name, encoder in (("bundled encoder", "xdistill"), ("ResNet-18 from scratch", "resnet18-scratch")):
        each = [found[f"{encoder}, {when}"] for when in ("before", "after")]
        told = [f"{row['silhouette']:.3f} [{row['low']:.3f}, {row['high']:.3f}]" for row in each]
        assert f"| {name} | {' | '.join(told)} |" in RESULTS


def test_the_scores_of_the_checkpoints_are_those_of_the_scorecards():
    with (ROOT / "distillation" / "results" / "scorecard.csv").open(newline="") as file:
        scored = list(csv.DictReader(file))
    larger = {row["queries"]: row for row in scored if row["image_size_px"] == "160"}
    rows = {(row["encoder"], row["queries"]): row for row in scored if row["image_size_px"] != "160"}
    names = {"*its teacher*": "vit_tiny_patch16_224.augreg_in21k_ft_in1k", "*ResNet-18, random weights*": "random"}
    names |= {f"`{name}`": name for name in DEFAULT_CHECKPOINTS.values()}
    stated = {cells[0].removesuffix(" (default)"): cells[3:] for cells in map(cells_of, README.splitlines())}
    for title, name in names.items():
        for queries, pair in zip(("imagenette_val", "caltech101_test"), stated[title], strict=True):
            row = rows[name, queries]
            accuracies = (float(row[entry]) for entry in ("knn10_percent", "linear_probe_percent"))
            assert pair == "{:.1f}, {:.1f} %".format(*accuracies), title
    pairs = (
        "{:.1f}, {:.1f} % on {}".format(
            *(float(larger[queries][key]) for key in ("knn10_percent", "linear_probe_percent")), name
        )
        for queries, name in (("imagenette_val", "Imagenette (10-NN, probe)"), ("caltech101_test", "Caltech-101"))
    )
    details = " ".join(RESULTS.split())
    assert f"batch-norm checkpoint has {' and '.join(pairs)}," in details
    assert {row["encoder"] for row in larger.values()} == {DEFAULT_CHECKPOINTS["batch"]}
    shares = ("teacher_explained_variance", "teacher_explained_variance_standardized")
    batch, group = (rows[DEFAULT_CHECKPOINTS[norm], "mini_imagenet_val"] for norm in ("batch", "group"))
    raw, standardised = ((100 * float(batch[share]), 100 * float(group[share])) for share in shares)
    told = "batch norm explains {:.0f} % of the variance of the teacher's [CLS], group norm {:.0f} %".format(*raw)
    assert told + "; of the standardised dimensions {:.0f} % and {:.0f} %.".format(*standardised) in details


def cells_of(line: str) -> list[str]:
    """A row of a Markdown table."""
    return [cell.strip() for cell in line.strip("| ").split("|")]
