"""What people and programs are told: the table, plain values, and a page that stands alone."""

import re
from html.parser import HTMLParser

from detect.doctor.checks import Example, Finding
from detect.doctor.examine import examine
from detect.doctor.page import page
from detect.doctor.table import as_values, class_counts, lines, summary
from tests.doctor.test_checks import corners, same, shared_bytes, truncated, without_boxes


def described(made, *spoilers):
    for spoil in spoilers:
        spoil(made)
    data = made.read()
    return data, examine(data)


def test_the_table_has_every_finding_with_its_count_three_examples_and_what_to_do(made):
    data, findings = described(made, corners, truncated, without_boxes)
    text = "\n".join(lines(data, findings))
    assert f"train: 4 images, 12 objects, 4 classes: {data.splits[0].source}\n" in text
    assert "  bolt 4, washer 4, screwdriver 4, shapes 0\n" in text
    found = re.findall(r"^(error|warning|note) +([\w.]+) +(\d+)  (.+)$", text, flags=re.MULTILINE)
    assert [(one[0], one[1], int(one[2])) for one in found][:2] == [
        ("error", "box.corners", 12), ("error", "image.truncated", 1)
    ]  # fmt: skip
    assert len(re.findall(r"annotations\[\d+\]: in a\d\.jpg is \[", text)) == 3 and "... and 9 more" in text
    assert all(f"> {finding.advice}" in text for finding in findings)
    assert text.endswith("2 errors, 1 warning, 0 notes")


def test_a_sound_set_is_called_so(made):
    data, findings = described(made)
    assert list(lines(data, findings))[-1] == summary([]) == "nothing found: the data are sound"


def test_of_many_classes_the_first_and_the_last_are_told(made):
    for number in range(10, 40):
        made.add_class(f"kind {number}", number=number)
    assert class_counts(made.read().splits[0]).count(",") == 12
    assert class_counts(made.read().splits[0]).startswith("bolt 4, washer 4, screwdriver 4, kind 10 0")


def test_values_are_plain_and_say_the_same(made):
    data, findings = described(made, shared_bytes)
    values = as_values(data, findings)
    assert values["splits"]["train"]["classes"] == {"bolt": 4, "washer": 4, "screwdriver": 4}
    assert values["errors"] == 1 and values["findings"][0]["id"] == "split.duplicates"
    (example,) = values["findings"][0]["examples"]
    assert example == {"file": str(made.images / "b1.jpg"), "where": "", "text": f"is, in train, {made.images}/a3.jpg"}


class Tags(HTMLParser):
    """All tags of a page, and the addresses in them; opened and closed in turn."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_stands_alone_and_shows_the_examples_images(made):
    data, findings = described(made, corners, same)
    text = page(data, findings, "Check of <mine>")
    tags = Tags(text)
    assert tags.open == [] and "Check of &lt;mine&gt;" in text
    assert all(one.startswith(("#", "data:image/jpeg;base64,")) for one in tags.addresses)
    assert tags.tags.count("img") == 3 + 2  # boxes; a copy and what it is one of
    assert all(f'id="{finding.id}"' in text for finding in findings)
    assert "http" not in text and "<script" not in text and "url(" not in text


def test_what_a_stranger_wrote_is_text_on_the_page(made):
    made.add_class("<script>alert(1)</script>\x1b[31m")
    data, findings = described(made)
    assert "<script" not in page(data, findings, "x") and "\x1b" not in page(data, findings, "x")
    assert "\x1b" not in "\n".join(lines(data, findings))


def test_an_example_without_an_image_that_can_be_read_is_shown_without(made):
    data, _ = described(made)
    broken = Example(made.root, "", "cut off", made.root / "none.jpg", [[0, 0, 9, 9]], ["bolt"])
    assert "<img" not in page(data, [Finding("a.b", "error", "things", "mend them", 1, [broken])], "x")
