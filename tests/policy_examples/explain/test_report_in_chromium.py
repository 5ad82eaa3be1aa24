"""The page of a report as headless Chromium shows it."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from policy_examples.explain import report
from tests.policy_examples.explain import made_runs
from tests.policy_examples.explain.reading_html import Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--enable-logging=stderr")
OPTIONS += ("--virtual-time-budget=10000", "--window-size=1400,900")
ASK = """<script>
const loaded = video => new Promise(done => {
  if (video.readyState >= 1) return done();
  video.addEventListener("loadedmetadata", done);
  video.lastElementChild.addEventListener("error", done);
});
addEventListener("load", async () => {
  const pictures = [...document.images], videos = [...document.querySelectorAll("video")];
  await Promise.all(videos.map(loaded));
  parent.postMessage(JSON.stringify({
    pictures: pictures.map(picture => picture.naturalWidth),
    videos: videos.map(video => [video.videoWidth, video.duration > 0, video.paused]),
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    width: document.documentElement.clientWidth,
    unnamed: [...document.querySelectorAll("a, summary, video, [role=region]")]
      .filter(each => !(each.textContent.trim() || each.getAttribute("aria-label"))).length,
  }), "*");
});
</script>"""
"""What the page has become, told to the page around it."""
FRAME = """<!DOCTYPE html><title></title>
<iframe width="{width_px}" height="20000" style="border: 0" src="{file}"></iframe>
<script>addEventListener("message", event => document.title = event.data);</script>"""
"""A window cannot be as narrow as a phone, a frame can; one so high has no scrollbar."""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """File -> (the page after its scripts, what the console said)."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        told = f"no headless browser: none of {', '.join(NAMES)} is on the PATH (Debian: apt-get install chromium)"
        if os.environ.get("XDISTILL_NO_SKIPS"):
            pytest.fail(f"XDISTILL_NO_SKIPS is set, and there is {told}")
        pytest.skip(told)
    profile = tmp_path_factory.mktemp("profile")

    def show(page: Path) -> tuple[str, list[str]]:
        command = [program, *OPTIONS, f"--user-data-dir={profile}", "--dump-dom", page.absolute().as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=True)
        return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]

    return show


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Of two runs with everything that a report shows."""
    folder = tmp_path_factory.mktemp("runs")
    run = made_runs.demo(folder / "demo")
    made_runs.saliency(run / "saliency")
    made_runs.embedding(run / "embedding")
    return report.write_report(report.Config((run, made_runs.finetuned(folder / "other"))))


def test_the_console_stays_silent_which_shows_what_goes_wrong(page, chromium, tmp_path):
    _, said = chromium(page)
    assert said == []
    foreign = tmp_path / "foreign.html"
    foreign.write_text(page.read_text().replace("</main>", '<img src="foreign.png" alt=""></main>'))
    _, said = chromium(foreign)
    assert "Content Security Policy" in " ".join(said)


@pytest.mark.parametrize("width_px", [390, 1280])
def test_every_picture_and_video_is_there_and_nothing_is_wider_than_the_page(page, chromium, tmp_path, width_px):
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text())
    asking = tmp_path / "asking.html"
    asking.write_text(text.replace("</body>", f"{ASK}</body>"))
    around = tmp_path / "around.html"
    around.write_text(FRAME.format(width_px=width_px, file=asking.name))
    document, _ = chromium(around)
    (title,) = re.findall("<title>(.*?)</title>", document, flags=re.DOTALL)
    found = json.loads(title.replace("&amp;", "&"))
    assert len(found["pictures"]) == len(Page(text).all("img"))
    assert min(found["pictures"]) > 0
    assert found["videos"] == [[64, True, True]] * 3
    assert (found["overflow"], found["unnamed"]) == (0, 0)
    assert found["width"] == width_px
