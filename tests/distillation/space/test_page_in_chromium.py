"""The page as a visitor meets it, in a headless browser."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import torch
from PIL import Image
from playwright.sync_api import Page, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SECONDS = 90


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """A folder of ten pictures: discs of several colours and places."""
    folder = tmp_path_factory.mktemp("pictures")
    rows, columns = torch.meshgrid(torch.arange(120), torch.arange(160), indexing="ij")
    for number in range(10):
        disc = (rows - 20 - 8 * number) ** 2 + (columns - 30 - 10 * number) ** 2 < 400
        colour = torch.tensor([25 * number, 255 - 20 * number, 128], dtype=torch.uint8)[:, None, None]
        pixels = torch.where(disc, colour, 70).to(torch.uint8).movedim(0, -1).numpy()
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def address(pictures, tmp_path_factory):
    """Of a page that `xdistill space` serves, over a set of images."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("space") / "log"
    command = [sys.executable, "-m", "xdistill_encoder", "space", "--images", str(pictures), "--port", str(port)]
    with log.open("w") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, cwd=log.parent)
    deadline = time.monotonic() + SECONDS
    try:
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()
                break
            except OSError:
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def page(address):
    """The opened page, and what its console said."""
    if CHROMIUM is None:
        told = "no headless browser on the PATH (Debian: apt-get install chromium)"
        (pytest.fail if os.environ.get("XDISTILL_NO_SKIPS") else pytest.skip)(told)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 1400})
        page.set_default_timeout(SECONDS * 1000)
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.append(f"asked {request.url}") if _foreign(request.url) else None)
        page.goto(address)
        yield page, said
        browser.close()


def _foreign(url: str) -> bool:
    return re.match(r"(https?|wss?)://(?!127\.0\.0\.1[:/]|localhost[:/])", url) is not None


def _look(page: Page, picture: Path) -> None:
    """Give a picture, press the button."""
    page.locator("input[type=file]").first.set_input_files(picture)
    page.locator(".image-frame img, [data-testid=image] img").first.wait_for()
    page.get_by_role("button", name="Look", exact=True).click()


def _shown(page: Page, title: str) -> str:
    """The address of the picture under a title."""
    column = page.locator(".column", has=page.get_by_text(title, exact=True)).last  # the innermost
    return column.locator("img").last.get_attribute("src") or ""


def test_a_picture_gets_its_maps_and_its_neighbours_and_another_neighbour_other_maps(page, pictures, tmp_path):
    opened, said = page
    _look(opened, pictures / "3.png")
    opened.get_by_text("the nearest of 10 images").wait_for()
    opened.get_by_text("the resemblance to 3.png (cosine of the last maps' means 1.000)").wait_for()
    opened.wait_for_function("[...document.querySelectorAll('img')].every(i => i.complete && i.naturalWidth)")
    assert opened.locator("img").count() >= 5 + 8  # the picture, four answers, eight neighbours
    opened.screenshot(path=tmp_path / "page.png", full_page=True)
    with Image.open(tmp_path / "page.png") as screenshot:
        assert screenshot.height > 800
    before = [_shown(opened, label) for label in ("Shares of the resemblance", "Gradient by the pixels")]
    opened.locator(".thumbnail-lg, .thumbnail-item").nth(4).click()
    opened.get_by_text(re.compile(r"the resemblance to (?!3\.png)\d\.png")).wait_for()
    after = [_shown(opened, label) for label in ("Shares of the resemblance", "Gradient by the pixels")]
    assert all(old != new for old, new in zip(before, after, strict=True))
    assert said == []


def test_the_visitors_own_images_are_searched_by_the_encoder_that_the_visitor_chooses(page, pictures):
    opened, _ = page
    opened.locator("input[type=file][multiple]").set_input_files([pictures / "1.png", pictures / "2.png"])
    opened.locator(".file-preview tr").nth(1).wait_for()
    opened.get_by_label("Encoder").click()
    opened.get_by_role("option", name="random").click()
    _look(opened, pictures / "2.png")
    opened.get_by_text("random: the nearest of 2 images").wait_for()
    opened.get_by_text("the resemblance to 2.png (cosine of the last maps' means 1.000)").wait_for()


def test_a_picture_that_cannot_be_read_is_told(page, tmp_path):
    opened, _ = page
    (tmp_path / "broken.png").write_bytes(b"no picture at all")
    opened.locator("input[type=file]").first.set_input_files(tmp_path / "broken.png")
    opened.wait_for_timeout(1000)
    opened.get_by_role("button", name="Look", exact=True).click()
    opened.get_by_text("cannot identify image file").wait_for()


def test_without_a_picture_the_page_says_what_is_missing(page):
    opened, _ = page
    opened.get_by_role("button", name="Look", exact=True).click()
    opened.get_by_text("Give a picture first.").wait_for()
