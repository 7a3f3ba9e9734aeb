"""Findings as one HTML page that stands alone: thumbnails with their boxes, light or dark as the reader's screen."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from detect.doctor.checks import Example, Finding
from detect.doctor.description import DataSet, objects_by_class
from detect.doctor.table import described, summary
from detect.errors import UserError
from detect.files import printable
from detect.inference.draw import draw
from detect.ops.image import read_image
from detect.ops.preview import data_uri, shrunk

SIDE = 320  # px of a thumbnail
STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin: 0; }
table { border-collapse: collapse; margin: 1rem 0; } td, th { padding: .2rem 1rem .2rem 0; text-align: left; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
section { border-top: 1px solid #8884; padding: 1rem 0; }
.severity { margin-right: .6rem; font-weight: 600; }
.error { color: #c22; } .warning { color: #a60; } .note { color: #16a; }
@media (prefers-color-scheme: dark) { .error { color: #f66; } .warning { color: #fb4; } .note { color: #6bf; } }
code { font-size: .9em; overflow-wrap: anywhere; } .advice { margin: .3rem 0 .8rem; }
.examples { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; flex: 1 1 18rem; max-width: 22rem; font-size: .85rem; overflow-wrap: anywhere; }
figure img { display: block; max-width: 100%; height: auto; border-radius: 4px; margin-bottom: .3rem; }
figcaption .place { color: #888; }
""".strip()


def page(data: DataSet, findings: Sequence[Finding], title: str) -> str:
    """The whole page; nothing in it is loaded from elsewhere."""
    splits = "".join(f"<li>{_text(described(split))}</li>" for split in data.splits)
    rows = "".join(
        f'<tr><td class="{one.severity}">{one.severity}</td><td class="number">{one.count}</td>'
        f'<td><a href="#{_text(one.id)}"><code>{_text(one.id)}</code></a></td><td>{_text(one.says)}</td></tr>'
        for one in findings
    )
    table = f"<table><tr><th></th><th></th><th>id</th><th>what</th></tr>{rows}</table>" if findings else ""
    sections = "".join(map(_section, findings)) + _classes(data)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{_text(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>\n{STYLE}\n</style></head>\n<body><h1>{_text(title)}</h1>\n<ul>{splits}</ul>\n"
        f"<p><b>{_text(summary(findings))}</b></p>\n{table}\n{sections}\n</body></html>\n"
    )


def _classes(data: DataSet) -> str:
    """A table of the objects of each class in each split."""
    counts = [objects_by_class([split]) for split in data.splits]
    names = sorted(dict.fromkeys(name for one in counts for name in one), key=lambda name: -counts[0].get(name, 0))
    heads = "".join(f"<th>{_text(split.name)}</th>" for split in data.splits)
    rows = "".join(
        f"<tr><td>{_text(name)}</td>"
        + "".join(f'<td class="number">{one.get(name, "")}</td>' for one in counts)
        + "</tr>"
        for name in names
    )
    return f"<section><h2>Objects by class</h2><table><tr><th></th>{heads}</tr>{rows}</table></section>"


def _section(finding: Finding) -> str:
    shown = "".join(map(_figure, finding.examples))
    return (
        f'<section id="{_text(finding.id)}"><h2><span class="severity {finding.severity}">{finding.severity}</span>'
        f"{finding.count} {_text(finding.says)} <code>{_text(finding.id)}</code></h2>"
        f'<p class="advice">{_text(finding.advice)}</p><div class="examples">{shown}</div></section>\n'
    )


def _figure(example: Example) -> str:
    pictures = (_thumbnail(example), _thumbnail(Example(Path(), "", "", example.beside)))
    shown = "".join(f'<img alt="" src="{picture}">' for picture in pictures if picture)
    return (
        f'<figure>{shown}<figcaption><span class="place"><code>{_text(example.place)}</code></span><br>'
        f"{_text(example.text)}</figcaption></figure>"
    )


def _thumbnail(example: Example) -> str:
    """The image with its boxes, as an address that holds it; nothing where it cannot be read."""
    if example.image is None:
        return ""
    try:
        image = read_image(example.image)
    except UserError:
        return ""
    small, scale = shrunk(image, SIDE)
    names = sorted(set(example.names))
    labels = [names.index(name) for name in example.names]
    boxes = np.array(example.boxes, dtype=np.float64).reshape(-1, 4) * scale
    return data_uri(draw(small, boxes, None, labels, names), quality=85)


def _text(text: object) -> str:
    return escape(printable(text))
