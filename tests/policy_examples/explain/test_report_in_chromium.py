"""The page of a report as headless Chromium shows it."""

import io
import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import sync_playwright

from policy_examples.explain import report
from tests.policy_examples.explain import made_runs
from tests.policy_examples.explain.browsers import chromium_program
from tests.policy_examples.explain.reading_html import Page

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
    program = chromium_program()
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


@pytest.fixture(scope="module")
def opened(page):
    """Width in px -> the page of a report in a window of that width."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_program(), args=["--no-sandbox"])

        def show(width_px: int):
            window = browser.new_page(viewport={"width": width_px, "height": 900}, reduced_motion="reduce")
            window.goto(page.absolute().as_uri())
            return window

        yield show
        browser.close()


@pytest.mark.parametrize("width_px", [390, 1280])
def test_a_screenshot_has_the_width_of_the_window_and_shows_text_and_colours_all_the_way_down(opened, width_px):
    window = opened(width_px)
    window.wait_for_function("[...document.images].every(picture => picture.complete)")
    with Image.open(io.BytesIO(window.screenshot(full_page=True))) as shot:
        pixels = np.asarray(shot.convert("RGB")).astype(int)
    assert pixels.shape[1] == width_px
    for screen in np.array_split(pixels, len(pixels) // 900):
        assert np.ptp(screen, axis=(0, 1)).min() > 100  # dark text on a light ground
    assert np.ptp(pixels, axis=2).max() > 80  # lines of charts, pictures


def test_print_has_pages_with_all_that_is_folded_on_the_screen_and_no_videos(opened):
    window = opened(1280)
    pdf = window.pdf(format="A4")
    assert pdf.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) > 3
    window.emulate_media(media="print")
    seen = "each => each.getBoundingClientRect().height > 0"
    assert window.locator("details > *:not(summary)").evaluate_all(f"all => all.length > 3 && all.every({seen})")
    assert window.locator("video, nav").evaluate_all(f"all => all.length > 3 && !all.some({seen})")


FOCUSED = """() => {
  const focused = document.activeElement, look = getComputedStyle(focused);
  const reached = [...document.querySelectorAll("a, summary, video, [tabindex='0']")].indexOf(focused);
  const box = focused.getBoundingClientRect();
  const within = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
  return {reached, ringed: look.outlineStyle !== "none" && parseFloat(look.outlineWidth) >= 2, within};
}"""
"""Which of what a keyboard must reach has the focus; whether that is to be seen."""


def test_the_tab_key_reaches_every_link_fold_video_and_table_in_their_order_with_a_ring_around_it(opened):
    window = opened(1280)
    window.locator("details").evaluate_all("all => all.forEach(each => each.open = true)")
    count = window.locator("a, summary, video, [tabindex='0']").count()
    assert count > 15
    reached = []
    while len(reached) < count:
        window.keyboard.press("Tab")
        found = window.evaluate(FOCUSED)
        assert found["ringed"], found
        assert found["within"], found
        if found["reached"] not in reached:  # a video keeps the focus while it goes through its controls
            reached.append(found["reached"])
    assert reached == list(range(count))


def test_the_enter_key_opens_what_is_folded(opened):
    window = opened(1280)
    first = window.locator("details").first
    first.locator("summary").focus()
    assert first.get_attribute("open") is None
    window.keyboard.press("Enter")
    assert first.get_attribute("open") is not None
