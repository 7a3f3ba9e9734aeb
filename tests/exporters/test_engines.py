"""A detector exported for engines gives PyTorch's results in each of them, alone and in batches."""

import json

import numpy as np
import pytest

import detect
from detect.api.evaluate import evaluate
from detect.errors import UserError
from detect.exporters.formats import Request, format_of
from detect.exporters.graph import reference
from detect.inference.engines import open_exported
from detect.inference.openvino_runtime import OpenVINORuntime
from detect.inference.predictor import Predictor
from detect.ops.boxes import xyxy_to_xywh
from detect.ops.image import write_image
from detect.weights.files import write_safetensors

WAYS = [("net.onnx", "onnx"), ("net.onnx", "openvino"), ("net.xml", "openvino")]


def export(path, weights, request, name=None):
    return format_of(name, path).write(path, weights, request)


@pytest.fixture(scope="module")
def files(weights, folder, tmp_path_factory):
    """A folder with net.onnx, net.xml and net.bin."""
    out = tmp_path_factory.mktemp("exported")
    assert export(out / "net.onnx", weights, Request(data=folder)) == [out / "net.onnx"]
    assert export(out / "net.xml", weights, Request(data=folder)) == [out / "net.xml", out / "net.bin"]
    assert sorted(path.name for path in out.iterdir()) == ["net.bin", "net.onnx", "net.xml"]
    return out


def assert_same(found, expected):
    """Candidates of the same images, equal to the rounding of float32."""
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert len(theirs.boxes) > 3
        np.testing.assert_array_equal(ours.labels, theirs.labels)
        np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-5)
        np.testing.assert_allclose(ours.boxes, theirs.boxes, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(("file", "engine"), WAYS)
def test_results_are_those_of_pytorch(files, weights, request_on, squares, file, engine):
    runtime = open_exported(files / file, engine, "f32")
    expected = reference(weights, request_on())
    assert (runtime.names, runtime.size) == (expected.names, expected.size)
    assert_same(runtime(squares, 0.3), expected(squares, 0.3))
    for ours, theirs in zip(runtime.raw(squares[:1]), expected.raw(squares[:1]), strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("batch", [None, 2])
def test_a_file_for_many_images_at_once_gives_the_same(weights, request_on, squares, tmp_path, batch):
    """Five images through a file for two, the last one filled up, or through one for any number."""
    expected = reference(weights, request_on())(squares, 0.3)
    for name in ("net.onnx", "net.xml"):
        export(tmp_path / name, weights, request_on(batch=batch))
    for file, engine in WAYS:
        assert_same(open_exported(tmp_path / file, engine, "f32")(squares, 0.3), expected)


def test_exported_files_are_evaluated(files, weights, request_on, folder, tmp_path):
    """Annotated is some of what PyTorch finds, so that AP is between 0 and 1."""
    categories = [{"id": number + 5, "name": name} for number, name in enumerate(weights.names)]
    predictor = Predictor(reference(weights, request_on()), min_score=0.25)
    images = [{"id": n, "file_name": f"{n:03}.png", "width": 64, "height": 40} for n in range(6)]
    annotations = [
        {"image_id": image["id"], "category_id": categories[label]["id"], "bbox": xyxy_to_xywh(box)[0].tolist()}
        for image in images
        for found in [predictor(folder / image["file_name"])]
        for box, label in list(zip(found.boxes, found.labels.tolist(), strict=True))[:7:2]
    ]
    content = {"images": images, "categories": categories}
    content["annotations"] = [row | {"id": number} for number, row in enumerate(annotations)]
    (tmp_path / "val.json").write_text(json.dumps(content))
    write_safetensors(tmp_path / "net.safetensors", weights)

    def evaluated(path, **options):
        out = tmp_path / f"{path.suffix}-{options.get('engine')}"
        on = {"images": folder, "annotations": tmp_path / "val.json", "out": out}
        return evaluate(path, **on, precision="f32", **options)

    expected = evaluated(tmp_path / "net.safetensors")
    assert 0.1 < expected["AP"] < 0.9 and expected["images"] == 6
    for file, engine in WAYS:
        found = evaluated(files / file, engine=engine)
        assert found["detections"] == pytest.approx(expected["detections"], abs=3)
        assert found["AP"] == pytest.approx(expected["AP"], abs=0.02)


def test_streams_keep_the_order(files, weights, request_on, squares):
    runtime = OpenVINORuntime(files / "net.xml", "f32", threads=2, images=2)
    many = np.concatenate([squares] * 3)
    assert_same(runtime(many, 0.3), reference(weights, request_on())(many, 0.3))


def test_a_file_opens_where_nothing_can_be_kept(files, squares, monkeypatch, tmp_path):
    """A service may have no folder to write to."""
    (tmp_path / "taken").write_text("")
    monkeypatch.setenv("CSP_DETECT_CACHE", str(tmp_path / "taken"))
    assert len(open_exported(files / "net.xml")(squares, 0.3)) == len(squares)


def test_maps_of_an_image_survive_the_next(files, squares):
    runtime = open_exported(files / "net.xml", "openvino", "f32")
    first = runtime.raw(squares[:1])
    kept = [level.copy() for level in first]
    runtime.raw(squares[1:])
    for ours, theirs in zip(first, kept, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_file_says_what_running_takes(files, weights):
    """Also what was configured: classes with their ids, thresholds, the settings."""
    exported = open_exported(files / "net.onnx", "onnx").exported
    assert exported.categories == weights.categories
    assert exported.predict["min_score"] == weights.settings.predict.min_score
    assert exported.config["model"]["backbone"]["name"] == "Small"
    assert exported.config["data"] is None
    for name in ("net.onnx", "net.xml"):
        assert detect.load(files / name, min_score="auto").min_score == weights.thresholds.scores == (0.3, 0.4, 0.5)
    by_openvino = open_exported(files / "net.xml").exported
    assert json.loads(by_openvino.to_json()) == json.loads(exported.to_json())
    Predictor(open_exported(files / "net.xml"), **exported.predict)


def test_another_size_and_16_bits(weights, request_on, tmp_path):
    export(tmp_path / "net.xml", weights, request_on(size=96, half=True))
    runtime = open_exported(tmp_path / "net.xml", precision="f32")
    assert (runtime.size, runtime.exported.precision) == (96, "f16")
    export(tmp_path / "whole.xml", weights, request_on(size=96))
    assert (tmp_path / "net.bin").stat().st_size < 0.6 * (tmp_path / "whole.bin").stat().st_size


def test_int8_is_near_and_small(weights, request_on, squares, tmp_path):
    said = []
    export(tmp_path / "net.xml", weights, request_on(log=said.append), "openvino-int8")
    runtime = open_exported(tmp_path / "net.xml")
    assert runtime.exported.precision == "int8"
    assert repr(runtime) == "OpenVINO on the CPU, int8 and f32"
    assert "int8 and f32" in said[0]
    for ours, theirs in zip(runtime.raw(squares), reference(weights, request_on()).raw(squares), strict=True):
        assert np.abs(ours - theirs).max() > 0
        assert np.sqrt(np.mean((ours - theirs) ** 2)) < 0.35 * theirs.std()


def test_int8_keeps_the_head_in_floating_point_where_too_much_is_lost(weights, squares, tmp_path, monkeypatch):
    """On labelled images; the convolutions that are kept are named, and the maps come nearer to PyTorch's."""
    make_data_set(tmp_path / "data", count=160)
    errors, said = [], []
    for limit in (1.0, -1.0):
        monkeypatch.setattr("detect.exporters.openvino_int8.MAX_LOSS", limit)
        path = tmp_path / f"{limit}.xml"
        export(path, weights, Request(data=tmp_path / "data", log=said.append), "openvino-int8")
        ours, theirs = (of.raw(squares) for of in (open_exported(path), reference(weights, Request())))
        errors.append(sum(float(np.abs(a - b).mean()) for a, b in zip(ours, theirs, strict=True)))
    assert 0 < errors[1] < errors[0]
    kept = [line for line in said if line.startswith("kept in floating point: the head's convolutions (")]
    assert len(kept) == 1 and kept[0].count(",") == 2
    assert sum(line.startswith("AP on ") for line in said) == 3


def test_int8_tells_no_ap_on_images_that_it_has_seen(weights, tmp_path):
    said = []
    make_data_set(tmp_path / "data", count=149)
    export(tmp_path / "net.xml", weights, Request(data=tmp_path / "data", log=said.append), "openvino-int8")
    assert said[0] == "AP is not compared: 49 images are left beside those to calibrate with"
    assert not [line for line in said if line.startswith("AP on")]


def make_data_set(folder, count):
    """A data folder whose split train has so many images of noise, each with one object of each class."""
    (folder / "annotations").mkdir(parents=True)
    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    images = [{"id": i, "file_name": f"{i}.png", "width": 64, "height": 48} for i in range(1, count + 1)]
    boxes = [(image["id"], label) for image in images for label in range(3)]
    content = {
        "images": images,
        "categories": [{"id": 10 * label, "name": name} for label, name in enumerate(["a", "b", "ü, c"])],
        "annotations": [
            {"id": i, "image_id": image, "category_id": 10 * label, "bbox": [5, 5, 20, 20]}
            for i, (image, label) in enumerate(boxes, 1)
        ],
    }
    for image in images:
        write_image(folder / "images" / image["file_name"], rng.integers(0, 255, (48, 64, 3), dtype=np.uint8))
    for split in ("train", "val"):
        (folder / "annotations" / f"{split}.json").write_text(json.dumps(content))


@pytest.mark.parametrize("count", [0, 99])
def test_int8_wants_a_hundred_images(weights, tmp_path, folder, count):
    few = tmp_path / "few"
    few.mkdir()
    for path in sorted(folder.iterdir())[:count]:
        (few / path.name).write_bytes(path.read_bytes())
    with pytest.raises(UserError, match="99 images; int8 is calibrated on 100" if count else "few: "):
        export(tmp_path / "net.xml", weights, Request(data=few), "openvino-int8")
    with pytest.raises(UserError, match="calibrated on 100 images"):
        export(tmp_path / "net.xml", weights, Request(), "openvino-int8")
    assert [path.name for path in tmp_path.iterdir()] == ["few"]


# ---- files that cannot be used -------------------------------------------------------------------------------------


@pytest.fixture
def copied(files, tmp_path):
    """A copy of the exported files, to be damaged."""
    for path in files.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


@pytest.mark.parametrize("file", ["net.onnx", "net.xml", "net.bin"])
@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.9, 0.999])
def test_a_cut_file_is_one_sentence(copied, file, share):
    path = copied / file
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    opened = copied / ("net.onnx" if file == "net.onnx" else "net.xml")
    for engine in ("onnx", "openvino") if file == "net.onnx" else ("openvino",):
        with pytest.raises(UserError, match=r"net\.(onnx|xml|bin): .*"):
            open_exported(opened, engine)


def test_missing_files_are_named(copied):
    (copied / "net.bin").unlink()
    with pytest.raises(UserError, match=r"its numbers, net\.bin, are not beside it"):
        open_exported(copied / "net.xml")
    for name in ("mine.xml", "mine.onnx"):
        with pytest.raises(UserError, match="no such file"):
            open_exported(copied / name)


def test_a_file_of_another_tool_is_refused(copied, weights, request_on):
    import openvino

    model = openvino.Core().read_model(copied / "net.xml")
    del model.get_rt_info()["csp_detect"]
    other = openvino.Model(model.get_results(), model.get_parameters(), "other")
    openvino.save_model(other, copied / "other.xml")
    with pytest.raises(UserError, match=r"other\.xml: was not exported by this package"):
        open_exported(copied / "other.xml")


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_an_operation_that_the_engine_lacks_is_one_sentence(copied, engine):
    import onnx

    model = onnx.load(copied / "net.onnx")
    next(node for node in model.graph.node if node.op_type == "Conv").op_type = "Unheard"
    onnx.save(model, copied / "odd.onnx")
    with pytest.raises(UserError, match=r"odd\.onnx: (ONNX Runtime|OpenVINO) cannot .*Unheard"):
        open_exported(copied / "odd.onnx", engine)


def test_an_engine_must_fit_and_be_there(files, monkeypatch):
    with pytest.raises(UserError, match=r"onnx: does not run \.xml files; openvino does"):
        open_exported(files / "net.xml", "onnx")
    with pytest.raises(UserError, match="did you mean 'openvino'"):
        open_exported(files / "net.xml", "openvin")
    with pytest.raises(UserError, match="in f32"):
        open_exported(files / "net.onnx", "onnx", "bf16")
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"onnxruntime is not installed, .* pip install 'csp-detect\[onnx\]'"):
        open_exported(files / "net.onnx", "onnx")


def test_auto_takes_the_fastest_engine_that_is_there(files, monkeypatch):
    assert isinstance(open_exported(files / "net.onnx"), OpenVINORuntime)
    monkeypatch.setattr("detect.inference.engines.find_spec", lambda name: name == "onnxruntime" or None)
    assert repr(open_exported(files / "net.onnx")) == "ONNX Runtime on the CPU, f32"


def test_a_precision_that_the_machine_lacks_is_refused(files, monkeypatch):
    monkeypatch.setattr(OpenVINORuntime, "precisions", lambda self: ["f32"])
    with pytest.raises(UserError, match="cannot be computed in bf16 on this machine; it can in f32"):
        OpenVINORuntime(files / "net.xml", "bf16")


def test_openvino_tells_its_maker_nothing():
    """Its telemetry is replaced by the stub that OpenVINO brings for machines without it."""
    import sys

    from detect.inference.openvino_runtime import import_openvino

    import_openvino()
    assert sys.modules["openvino_telemetry"] is None
    stub = sys.modules["openvino.tools.ovc.telemetry_utils"].tm
    assert stub.__name__ == "openvino.tools.ovc.telemetry_stub"
