"""The page in a real browser."""

import pytest
from browser import Browser, path_of_browser
from served import clip, jpeg, running, server

pytestmark = pytest.mark.skipif(path_of_browser() is None, reason="needs chromium or Chrome")

HAS_IMAGE = "document.getElementById('stage').classList.contains('has-image')"
CHIPS = "[...document.querySelectorAll('#classes button')].map(b => b.textContent)"
PICTURE = "document.getElementById('canvas').toDataURL()"


def set_score(page, value):
    page.run(f"(s => {{ s.value = {value}; s.dispatchEvent(new Event('input')) }})(document.getElementById('score'))")


@pytest.fixture(scope="module")
def browser():
    with Browser() as browser:
        yield browser


def test_two_viewers_see_the_stream_move_and_the_numbers(browser, tmp_path):
    with running(server(clip(tmp_path / "street.avi"))) as address:
        for page in (browser.open(address), browser.open(address, width=390, dark=True)):
            page.until(HAS_IMAGE)
            before = page.run(PICTURE)
            page.until(f"{PICTURE} !== {before!r}")
            page.until("parseFloat(document.getElementById('fps').textContent) > 1")
            assert page.text("#source-text") == "street.avi" and page.text("#model") == "a test"
            assert page.run("document.documentElement.scrollWidth <= innerWidth")  # nothing sticks out
            assert not page.errors


def test_the_slider_and_the_classes_act_at_once(browser, tmp_path):
    with running(server(clip(tmp_path / "street.avi"))) as address:
        page = browser.open(address)
        page.until(HAS_IMAGE)
        page.until(f"JSON.stringify({CHIPS}) === JSON.stringify(['person1', 'dog1'])")
        set_score(page, 0.5)
        assert page.run(CHIPS) == ["person1"] and page.text("#score-text") == "0.50"
        set_score(page, 0.05)
        assert page.run(CHIPS) == ["person2", "dog1"]
        page.run("document.querySelector('#classes button').click()")
        assert page.run("document.querySelector('#classes button').getAttribute('aria-pressed')") == "false"
        assert not page.errors


def test_a_photo_gets_boxes_and_escape_goes_back(browser, tmp_path):
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(jpeg(400, 300))
    (tmp_path / "text.jpg").write_text("no image")
    with running(server(clip(tmp_path / "street.avi"))) as address:
        page = browser.open(address)
        page.until(HAS_IMAGE)
        page.choose_file("#file", photo)
        page.until("document.getElementById('said').textContent.startsWith('photo.jpg: ')")
        assert page.run(CHIPS) == ["person1", "dog1"]
        assert page.run("[canvas.width / canvas.height].map(r => r.toFixed(2))[0]") == "1.33"
        page.press("Escape")
        assert page.run("document.getElementById('back').hidden")
        page.choose_file("#file", tmp_path / "text.jpg")
        page.until("document.getElementById('said').className === 'bad'")
        assert "not a readable image" in page.text("#said")


def test_without_a_source_the_page_waits_for_photos(browser):
    with running(server()) as address:
        page = browser.open(address)
        page.until("document.getElementById('source-text').textContent === 'ready for photos'")
        assert page.run("document.getElementById('numbers').hidden") and not page.errors
