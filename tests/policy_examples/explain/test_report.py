import json
import re
import shutil
import sys
from itertools import pairwise

import pytest

from policy_examples.benchmarking.runfiles import describe_machine
from policy_examples.explain import report
from tests.policy_examples.explain import made_runs
from tests.policy_examples.explain.reading_html import Page


def written(*runs, **settings) -> tuple[str, Page]:
    document = report.write_report(report.Config(runs, **settings)).read_text(encoding="utf-8")
    return document, Page(document)


@pytest.fixture(scope="module")
def explained_demo(tmp_path_factory):
    folder = made_runs.demo(tmp_path_factory.mktemp("runs") / "<b>demo & co<i>")
    made_runs.saliency(folder / "saliency")
    made_runs.embedding(folder / "embedding")
    return folder


@pytest.fixture(scope="module")
def demo_page(explained_demo):
    return written(explained_demo)


def test_the_page_of_a_demo_says_what_its_files_say(demo_page):
    _, page = demo_page
    assert "85 % 17 of 20 episodes solved; 95 % interval 64 to 95 %" in page.text
    assert "failed: 1000017, 1000018, 1000019." in page.text
    assert "drawer-open" in page.text
    assert "DP3 100 %, image Diffusion Policy 93 %" in page.text
    assert "87.2 %" in page.text  # X-Distill on its 34 tasks
    assert "0.4321" in page.text
    assert "38.0%" in page.text  # of the saliency lies on task objects
    assert "Share on task objects, entropy of drawer over the episode" in [
        picture["alt"] for picture in page.all("img")
    ]
    assert "torch" in page.text


def test_the_page_is_balanced_html_with_one_main_part_and_headings_in_order(demo_page):
    document, page = demo_page
    assert document.startswith("<!DOCTYPE html>")
    assert page.mistakes == []
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("main")) == len(page.all("title")) == 1


def test_the_page_loads_nothing_from_anywhere(demo_page):
    document, page = demo_page
    addresses = [found[name] for _, found in page.elements for name in ("src", "href", "poster") if found.get(name)]
    assert {re.match(r"#|data:|", address).group() for address in addresses if address} == {"#", "data:"}  # type: ignore[union-attr]
    assert re.findall(r"https?:|url\(|@import|<link|<script|<iframe", document) == []
    (rule,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert rule is not None
    assert rule.startswith("default-src 'none'")


def test_names_from_the_disk_are_escaped(demo_page):
    document, page = demo_page
    assert "<b>demo" not in document
    assert "<b>demo & co<i>" in page.text


def test_every_picture_has_a_text_and_every_video_controls_without_autoplay(demo_page):
    _, page = demo_page
    assert len(page.all("img")) == 6  # frames of three videos, a strip, its course, an embedding
    assert all(picture["alt"] for picture in page.all("img"))
    assert len(page.all("video")) == 3
    assert all("controls" in video and "autoplay" not in video and video["aria-label"] for video in page.all("video"))
    assert all(drawing.get("aria-hidden") or drawing.get("aria-label") for drawing in page.all("svg"))


def test_table_headers_have_a_scope_and_links_within_the_page_have_an_end(demo_page):
    _, page = demo_page
    assert all(header["scope"] in ("col", "row") for header in page.all("th"))
    anchors = [found["id"] for _, found in page.elements if "id" in found]
    assert len(set(anchors)) == len(anchors)
    links = {(link["href"] or "").removeprefix("#") for link in page.all("a")}
    assert links <= set(anchors)
    assert "main" in links


def test_several_runs_are_compared_in_one_table(tmp_path):
    first = made_runs.finetuned(tmp_path / "a", seed=0, solved=(3, 20))
    second = made_runs.finetuned(tmp_path / "b", seed=1, solved=(16, 12))
    _, page = written(first, second, output=tmp_path / "page.html")
    assert page.mistakes == []
    assert "2 runs compared" in page.text
    assert "80 %–" in page.text  # two seeds are too few for an interval
    assert "90 %–" in page.text  # of the best evaluations, 100 % and 80 %
    assert "Settings that differ: 1" in page.text


def test_a_mean_over_enough_seeds_has_an_interval(tmp_path):
    runs = [made_runs.finetuned(tmp_path / str(seed), seed=seed, solved=(10 + seed,)) for seed in range(5)]
    _, page = written(*runs, output=tmp_path / "page.html")
    assert re.search(r"60 %5\d to 6\d %", page.text)


def test_errors_of_actions_and_of_noise_are_drawn_apart(tmp_path):
    runs = [made_runs.finetuned(tmp_path / name, solved=()) for name in ("sample", "epsilon")]
    settings = json.loads((runs[1] / "config.json").read_text())
    settings["config"]["prediction"] = "epsilon"
    (runs[1] / "config.json").write_text(json.dumps(settings))
    _, page = written(*runs, output=tmp_path / "page.html")
    assert "Mean squared error of the denoised, normalised actions; lower is better" in page.text
    assert "Mean squared error of the noise that was added to normalised actions; lower is better" in page.text
    assert "(noise)" in page.text


def test_runs_that_were_never_evaluated_are_compared_without_a_scale_of_success(tmp_path):
    runs = [made_runs.finetuned(tmp_path / name, solved=()) for name in ("a", "b")]
    _, page = written(*runs, output=tmp_path / "page.html")
    assert "2 runs compared" in page.text
    assert "50 %" not in page.text
    assert "No run here has a success rate beside the name of its encoder." in page.text


def test_the_run_of_a_benchmark_shows_its_row_its_machine_and_its_shift(tmp_path):
    _, page = written(made_runs.benchmarked(tmp_path))
    assert "Finished policy under the shift “camera” 25 % (11 to 47 %)" in page.text
    assert "6.5 ms a frame" in page.text
    assert "xdistill benchmark --tasks drawer-open --encoders xdistill --seeds 0 --preset cpu" in page.text
    assert describe_machine() in page.text


def test_a_task_that_blind_solves_is_marked_among_the_runs_of_a_benchmark(tmp_path):
    seeing = made_runs.benchmarked(tmp_path, solved=(10, 18))
    blind = made_runs.benchmarked(tmp_path, encoder="blind", solved=(10, 17))
    _, page = written(seeing, blind)
    assert "solves drawer-open°: such a task says nothing about encoders." in page.text
    assert "17 of 20; drawer-open°, blind" in page.text
    assert "The means above include it." in page.text
    poorer = made_runs.benchmarked(tmp_path / "poorer", encoder="blind", solved=(10, 16))
    _, page = written(seeing, poorer)
    assert "°" not in page.text


def test_a_rollout_alone_makes_a_page_and_one_within_a_run_belongs_to_the_run(tmp_path):
    _, page = written(made_runs.rolled_out(tmp_path / "rollout", shift="light"))
    assert "45 % 9 of 20 episodes solved" in page.text
    assert "0123456789abcdef" in page.text
    run = made_runs.finetuned(tmp_path / "run", solved=())
    made_runs.rolled_out(run / "rollout", policy=run / "policy")
    _, page = written(run)
    assert "9 of 20 episodes solved; 95 % interval 26 to 66 %; finished policy, rollout" in page.text


def test_a_run_is_not_known_by_what_another_policy_or_task_came_to(tmp_path):
    run = made_runs.finetuned(tmp_path / "run", solved=(17, 3))
    made_runs.rolled_out(run / "other", solved=20)  # of a fingerprint that no policy of the run has
    made_runs.rolled_out(run / "hammered", policy=run / "policy", task="hammer", solved=19)
    _, page = written(run)
    assert "3 of 20 episodes solved; 95 % interval 5 to 36 %; policy of the last step, 200" in page.text
    assert "Another policy, other 100 %" in page.text
    assert "Finished policy on hammer, hammered 95 %" in page.text


def test_a_run_that_goes_on_says_so(tmp_path):
    run = made_runs.finetuned(tmp_path / "run", solved=(17, 3))
    shutil.rmtree(run / "policy")
    _, page = written(run)
    assert "latest evaluation, at step 200; training has not ended" in page.text
    assert "policy of the last step" not in page.text


def test_what_a_run_lacks_is_said_with_the_command_that_makes_it(tmp_path):
    run = made_runs.finetuned(tmp_path / "run", solved=())
    _, page = written(run)
    assert f"xdistill rollout --policy {run}/policy --output {run}/rollout" in page.text
    assert f"xdistill explain saliency --policies {run}/policy --output {run}/saliency" in page.text
    assert f"xdistill explain embedding --policies {run}/policy --output {run}/embedding" in page.text
    assert f"xdistill scorecard --bank IMAGES --queries IMAGES --output {run}/scorecard.json" in page.text


@pytest.mark.parametrize(
    ("encoder", "named"),
    [("resnet18-scratch", "--encoder random"), ("dinov2-s", "--encoder timm/vit_small_patch14_dinov2.lvd142m")],
)
def test_a_missing_scorecard_is_of_the_encoder_under_the_scorecard_s_name_for_it(tmp_path, encoder, named):
    run = made_runs.finetuned(tmp_path / "run", encoder=encoder)
    _, page = written(run)
    assert f"xdistill scorecard --bank IMAGES --queries IMAGES {named} --output {run}/scorecard.json" in page.text


@pytest.mark.parametrize("encoder", ["theia-s", "blind"])
def test_an_encoder_that_the_scorecard_does_not_know_lacks_none(tmp_path, encoder):
    _, page = written(made_runs.finetuned(tmp_path / "run", encoder=encoder))
    assert "scorecard" not in page.text


def test_a_video_that_is_too_large_is_shown_by_its_frames(tmp_path):
    run = made_runs.demo(tmp_path / "run")
    _, page = written(run, video_mb=0.0001)
    assert page.all("video") == []
    assert len(page.all("img")) == 2
    assert "too large for this page (--video-mb 0.0001" in page.text
    size = (run / "success.mp4").stat().st_size
    _, page = written(run, page_mb=1.5 * size / 1e6)
    assert len(page.all("video")) == 1  # the second one finds the page's share spent


def test_a_picture_that_is_too_large_becomes_smaller(explained_demo, tmp_path):
    _, page = written(explained_demo, output=tmp_path / "page.html", picture_mb=0.0001)
    assert "(made smaller: 640 x 160 px in the file)" in page.text


def test_explanations_and_scorecards_that_are_named_have_a_part_of_their_own(tmp_path):
    run = made_runs.finetuned(tmp_path / "run")
    card = tmp_path / "card.json"
    card.write_text(
        '{"encoder": "resnet18<x>", "queries": "imagenette", "knn10_percent": 88.56, "knn20_percent": null}'
    )
    document, page = written(run, saliency=(made_runs.saliency(tmp_path / "s"),), scorecard=(card,))
    assert page.mistakes == []
    assert "Explanations" in page.text
    assert "88.56" in page.text
    assert "resnet18&lt;x&gt;" in document


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "runs: expected one folder or more, got none; `xdistill finetune`"),
        (["nowhere"], "runs: expected folders of runs, got nowhere, which is no folder"),
        (["run", "run"], "runs: expected each folder once"),
        (["empty"], "runs: empty holds none of config.json, log.jsonl"),
        (
            ["run", "--saliency", "empty"],
            "saliency: empty lacks strip.png, saliency.csv, summary.json, over_time.png; `xdistill explain",
        ),
        (["run", "--scorecard", "no.json"], "scorecard: expected a JSON file, got no.json; `xdistill scorecard --bank"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line_that_says_what_to_do(arguments, message, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    made_runs.finetuned(tmp_path / "run", solved=())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["xdistill report", *arguments])
    with pytest.raises(SystemExit, match=f"^xdistill report: {re.escape(message)}"):
        report.main()


def test_the_command_writes_the_page_into_the_first_run_and_leaves_nothing_else(tmp_path, monkeypatch, capsys):
    run = made_runs.finetuned(tmp_path / "run")
    before = {path.name for path in run.iterdir()}
    monkeypatch.setattr(sys, "argv", ["xdistill report", str(run)])
    report.main()
    assert capsys.readouterr().out.startswith(f"report: {run}/report.html (")
    assert {path.name for path in run.iterdir()} == before | {"report.html"}


def test_limits_below_nothing_are_refused():
    with pytest.raises(ValueError, match="video_mb: expected 0 or more, got -1"):
        report.Config(video_mb=-1)


def test_runs_that_do_not_say_their_settings_are_not_called_equal(tmp_path):
    runs = [made_runs.finetuned(tmp_path / name) for name in ("a", "b", "c")]
    _, page = written(*runs, output=tmp_path / "page.html")
    assert "No setting differs between a, b, c" in page.text
    (runs[2] / "config.json").unlink()
    _, page = written(*runs, output=tmp_path / "page.html")
    assert "No setting differs between a, b, but" in page.text
    (runs[1] / "config.json").unlink()
    _, page = written(*runs, output=tmp_path / "page.html")
    assert "No setting differs" not in page.text
