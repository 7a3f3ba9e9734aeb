"""report.html: an evaluation as one page that needs nothing beside it, neither files nor a network."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from string import Template

from detect.data.records import ImageTable
from detect.evaluation.fast import Evaluation
from detect.files import made_folder, printable, write_text
from detect.report import sections
from detect.report.errors import Errors, find_errors
from detect.report.ranking import Ranking, rankings
from detect.report.thresholds import class_thresholds
from detect.report.worst import worst_images

TEMPLATE = Path(__file__).with_name("page.html")
NAME = "report.html"
FALLBACK = 0.25  # the score threshold where nothing was found


@dataclass(frozen=True, eq=False)
class Subject:
    """What a page is about.

    title: a name for it;  about: what was evaluated and how, by short words;  evaluation: all that is known of it;
    records: the images.
    """

    title: str
    about: Mapping[str, str]
    evaluation: Evaluation
    records: ImageTable

    @cached_property
    def classes(self) -> list[Ranking]:
        """The ranked detections of each class."""
        return rankings(self.evaluation)

    @cached_property
    def errors(self) -> Errors:
        """What went wrong."""
        return find_errors(self.evaluation)

    @cached_property
    def thresholds(self) -> tuple[list[float], float]:
        """(score threshold of each class, that of all)."""
        return class_thresholds(self.classes) or ([FALLBACK] * len(self.classes), FALLBACK)


def report_path(place: str | os.PathLike[str]) -> Path:
    """The file for a page: `place` itself if it ends in .html, else report.html in the folder of this name.

    The folder is made if it is not there.  Raises UserError.
    """
    path = Path(place)
    if path.suffix.lower() not in (".html", ".htm"):
        path /= NAME
    made_folder(path.parent, argument="report")
    return path


def write_report(path: Path, subject: Subject) -> None:
    """Write the page, whole or not at all.  Raises UserError."""
    template = Template(TEMPLATE.read_text(encoding="utf-8"))
    title = escape(printable(subject.title))
    write_text(path, template.substitute(title=title, body=_body(title, subject)))


def _body(title: str, subject: Subject) -> str:
    evaluation, (above, overall) = subject.evaluation, subject.thresholds
    worst = worst_images(evaluation, subject.errors, subject.records, above)
    parts = {
        "Numbers": sections.numbers(evaluation.report),
        "Classes": sections.classes_table(evaluation, subject.classes, above),
        "Curves": sections.curves(evaluation, subject.classes, overall),
        "Errors": sections.errors_table(evaluation, subject.errors),
        "Confusion": sections.confusion(evaluation, above),
        "Sizes and shapes": sections.breakdown(evaluation, subject.classes),
        "Worst images": sections.worst(evaluation, subject.errors, worst),
    }
    about = " · ".join(f"{escape(key)} <b>{escape(printable(value))}</b>" for key, value in subject.about.items())
    links = "".join(f'<a href="#{_anchor(name)}">{name}</a>' for name in parts)
    bodies = "".join(f'<section id="{_anchor(name)}"><h2>{name}</h2>{body}</section>' for name, body in parts.items())
    return f"<h1>{title}</h1><p>{about}</p><nav>{links}</nav>{bodies}"


def _anchor(name: str) -> str:
    return name.split()[0].lower()
