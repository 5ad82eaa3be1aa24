from base64 import b64decode
from io import BytesIO

import pytest
from PIL import Image

from policy_examples.explain.reporting.media import Budget, film, picture, stills
from tests.policy_examples.explain.made_runs import filmed
from tests.policy_examples.explain.reading_html import Page


def test_stills_show_the_first_and_the_last_frame_at_the_ends(tmp_path):
    found = stills(filmed(tmp_path / "film.mp4"))
    assert found.frame_size == (64, 64)
    assert found.size == (4 * 64 + 3 * 4, 64)
    strip = Image.open(BytesIO(found.jpeg)).convert("L")
    assert strip.getpixel((8, 32)) > 120 > strip.getpixel((56, 32))  # type: ignore[operator]  # the square stands left
    last = 3 * 68
    assert strip.getpixel((last + 56, 32)) > 120 > strip.getpixel((last + 8, 32))  # type: ignore[operator]


def test_a_film_is_in_the_page_byte_by_byte(tmp_path):
    path = filmed(tmp_path / "film.mp4")
    page = Page(film(path, "A film", "a square", Budget(10**6, 10**6)))
    (source,) = page.all("source")
    address = source["src"] or ""
    assert b64decode(address.removeprefix("data:video/mp4;base64,")) == path.read_bytes()


def test_a_budget_takes_what_fits_and_is_spent():
    budget = Budget(video=10, page=15)
    assert [budget.takes(size) for size in (11, 10, 6, 5, 1)] == [False, True, False, True, False]


def test_a_film_that_is_none_is_refused_by_name(tmp_path):
    (tmp_path / "film.mp4").write_text("no film")
    with pytest.raises(ValueError, match=r"the video .*film.mp4 cannot be read .* make it again, or remove it"):
        stills(tmp_path / "film.mp4")


def test_a_picture_keeps_its_bytes_and_one_that_is_none_is_refused_by_name(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (30, 20)).save(path)
    (image,) = Page(picture(path, "black", "", 10**6)).all("img")
    assert b64decode((image["src"] or "").removeprefix("data:image/png;base64,")) == path.read_bytes()
    assert (image["width"], image["height"], image["alt"]) == ("30", "20", "black")
    path.write_text("no picture")
    with pytest.raises(ValueError, match=r"the picture .*a.png cannot be read"):
        picture(path, "", "", 10**6)


@pytest.mark.parametrize(("size", "scrolls"), [((640, 160), True), ((1584, 1020), True), ((800, 700), False)])
def test_a_picture_that_is_wide_scrolls_on_a_phone(tmp_path, size, scrolls):
    Image.new("RGB", size).save(tmp_path / "picture.png")
    page = Page(picture(tmp_path / "picture.png", "nothing", "a caption", 10**6))
    assert any(region["class"] == "scroll wide" for region in page.all("div")) == scrolls
