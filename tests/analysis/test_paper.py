"""Every number that the paper, the authors' cfgs and the neighbours' tables print, against what our models count."""

import pytest
from torch.testing import assert_close

from detect.analysis.paper import NOT_COUNTED, Published, published, rows, table

BARS = {"established": 0.005, "recovered": 0.005, "inferred": 0.015}
MISPRINT = ("CSPDenseNet Ref.", "BFLOPs", 0.886)


def label(model):
    return f"{model.table}-{model.name}-{model.size}"


@pytest.mark.parametrize("model", published(), ids=label)
def test_counts_are_the_published_ones(model):
    found = list(rows([model]))
    assert len(found) == (model.parameters is not None) + (model.bflops is not None) > 0
    for row in found:
        assert_close(row["counted"] / row["published"] - 1, row["difference"], rtol=0, atol=2e-5)
        if (row["name"], row["quantity"], row["published"]) == MISPRINT:
            assert "misprint" in row["note"] and "0.836" in row["note"]
            assert_close(row["counted"], 0.836, rtol=0.0075, atol=0)  # what the other numbers of that net ask for
        elif row["table"] != "PP-LCNet":  # whose figures have two or three digits: see below
            assert abs(row["difference"]) <= BARS[row["status"]], row


# equal to the last digit that the cfgs and tables give, in millions
EXACT = {
    ("cfg", "CSPResNeXt50"): 20.499, ("cfg", "CSPResNet50"): 21.567, ("cfg", "CSPDarknet53"): 27.606,
    ("cfg", "Darknet53"): 41.573, ("cfg", "ResNet10"): 5.240, ("cfg", "yolov3-tiny-prn"): 4.940,
    ("cfg", "csresnext50-panet-spp"): 57.031,
}  # fmt: skip


@pytest.mark.parametrize("model", [m for m in published() if m.table in ("cfg", "VoVNet")], ids=label)
def test_parameters_with_a_published_source_are_equal_to_the_last_digit(model):
    row = next(iter(rows([model])))
    assert round(row["counted"], 3) == row["published"] == EXACT.get((model.table, model.name), row["published"])


@pytest.mark.parametrize("model", [m for m in published() if m.table == "PP-LCNet"], ids=label)
def test_all_figures_of_paddleclas_come_out(model):
    parameters, bflops = rows([model])
    assert round(parameters["counted"], 2) == parameters["published"]  # millions
    assert round(bflops["counted"] * 500) == round(bflops["published"] * 500)  # millions of multiply-adds


def test_vovnets_of_the_authors_and_of_timm_stand_side_by_side():
    printed = {m.name: m.parameters for m in published() if m.table == "VoVNet" and m.name.startswith("VoVNetV2-99")}
    assert printed == {"VoVNetV2-99": 70.549, "VoVNetV2-99 (timm)": 63.199}


def test_every_exact_number_belongs_to_a_row():
    assert set(EXACT) <= {(m.table, m.name) for m in published()}


def test_every_row_of_the_papers_tables_is_there_or_named_as_not_counted():
    names = {t: [m.name for m in published() if m.table == t] for t in ("Table 1", "Table 2", "Table 3", "Table 4")}
    assert {t: len(n) for t, n in names.items()} == {"Table 1": 12, "Table 2": 10, "Table 3": 17, "Table 4": 19}
    assert {"EfficientNet-B0", "HarDNet-138s", "ThunderNet", "CenterNet"} <= set(NOT_COUNTED)


def test_table_shows_published_and_counted_side_by_side_with_notes_below():
    wrong = Published("Tiny", "Table 9", 64, {"name": "DarknetRef"}, "inferred", bflops=2.0, note="half of it")
    text = table(list(rows([wrong]))).splitlines()
    assert text[0].split() == ["table", "model", "size", "quantity", "published", "counted", "difference", "status"]
    shown = text[1].split()
    assert shown[:6] == ["Table", "9", "Tiny", "64", "BFLOPs", "2"] and shown[-2:] == ["inferred", "[1]"]
    assert text[2] == "[1] half of it"
    assert text[3].startswith("not built here: EfficientNet-B0")
