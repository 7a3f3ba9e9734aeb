"""Pascal VOC's XML: what is read of it, every fault with file and line, and what only an attack has."""

import pytest
from PIL import Image

from detect.config.schema import DataSettings
from detect.data.dataset import Dataset
from detect.data.formats.opening import open_split, splits_of
from detect.errors import UserError
from tests.coco_mapping import mapping_of
from tests.data.exports import made_up, voc_xml, write


@pytest.fixture
def load(tmp_path):
    """Write the objects of one XML file beside its image and read them: (data set, its messages)."""

    def read(text, split="train", **options):
        (tmp_path / "JPEGImages").mkdir(exist_ok=True)
        Image.new("RGB", (40, 30)).save(tmp_path / "JPEGImages" / "a.jpg")
        write(tmp_path / "Annotations" / "a.xml", text)
        return Dataset(open_split(DataSettings(root=str(tmp_path)), split), **options)

    return read


def xml_of(objects, size="<size><width>40</width><height>30</height></size>", more=""):
    return f"<annotation>\n<filename>a.jpg</filename>\n{size}{more}\n{objects}</annotation>"


def one(name="cup", box=("1", "2", "11", "22"), more=""):
    sides = "".join(
        f"<{side}>{value}</{side}>" for side, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    return f"<object><name>{name}</name>{more}<bndbox>{sides}</bndbox></object>\n"


def boxes_of(dataset):
    return dataset.images[0].boxes.tolist()


def test_numbers_are_edges_but_in_pascals_own_files(load):
    assert boxes_of(load(xml_of(one()))) == [[1, 2, 11, 22]]
    own = "<source><database>The VOC2007 Database</database><annotation>PASCAL VOC2007</annotation></source>"
    assert boxes_of(load(xml_of(one(), more=own))) == [[0, 1, 11, 22]]
    assert boxes_of(load(xml_of(one(box=("1.5", "2.25", "11", "22"))))) == [[1.5, 2.25, 11, 22]]


def test_difficult_objects_are_ignore_regions(load):
    dataset = load(xml_of(one() + one(more="<difficult>1</difficult>")))
    assert dataset.images[0].weights.tolist() == [1, 0]
    assert [each["iscrowd"] for each in mapping_of(dataset.ground_truth())["annotations"]] == [0, 1]
    assert any(note.endswith("1 objects marked difficult count as crowds") for note in dataset.notes)


@pytest.mark.parametrize("size", ["", "<size/>", "<size><width>0</width><height>0</height></size>"])
def test_without_a_size_the_image_tells(load, size):
    dataset = load(xml_of(one(), size))
    assert (dataset.images[0].width, dataset.images[0].height) == (40, 30)
    assert any("1 files give no size" in note for note in dataset.notes)


def test_parts_and_attributes_of_objects_are_passed_over(load):
    part = "<part><name>handle</name><bndbox><xmin>1</xmin></bndbox></part>"
    attributes = "<attributes><attribute><name>rotation</name></attribute></attributes>"
    dataset = load(xml_of(one(more=part + attributes)))
    assert [category["name"] for category in dataset.categories] == ["cup"]


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        (one() + one(name=""), "a.xml:5: the object has no name; give it one"),
        (one(box=("1", "", "11", "22")), "a.xml:4: the 'cup' has the ymin ''; a bndbox has four numbers in px"),
        (one(box=("1", "nan", "11", "22")), "a.xml:4: the 'cup' has the ymin 'nan'; a bndbox has four numbers in px"),
        (one(box=("1", "1e10", "11", "22")), "a.xml:4: the 'cup' has the ymin '1e10'; a bndbox has four numbers in px"),
        (
            one() + one(box=("11", "2", "1", "22")),
            "a.xml:5: the box has width -10; remove it, or set",
        ),
        (one(box=("50", "2", "60", "22")), "a.xml:4: the box lies outside its image of 40x30 px; remove it"),
    ],
)
def test_a_fault_has_its_file_and_line(load, tmp_path, objects, message):
    with pytest.raises(UserError) as caught:
        load(xml_of(objects))
    assert str(caught.value).startswith(f"{tmp_path / 'Annotations'}/{message}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotation>\n<object>", "a.xml:2: is no XML (no element found); was the file cut off?"),
        ("<html></html>", "a.xml:1: is <html>, no <annotation> of Pascal VOC"),
        ("", "a.xml:1: is no XML (no element found)"),
        ('<!DOCTYPE a [<!ENTITY b "bb">]>\n<annotation>&b;</annotation>', "a.xml:1: has a document type (DTD), which"),
        ("<annotation>" * 40, "a.xml:1: has more than 30 elements within each other"),
        ('<?xml version="1.0" encoding="klingon"?><annotation/>', "a.xml:1: "),
        ("<annotation><object><name>&lol;</name></object></annotation>", "a.xml:1: is no XML (undefined entity)"),
    ],
)
def test_what_is_no_xml_of_voc_is_one_sentence(load, tmp_path, text, message):
    with pytest.raises(UserError) as caught:
        load(text)
    assert str(caught.value).startswith(f"{tmp_path / 'Annotations'}/{message}")


def test_a_box_that_teaches_nothing_may_be_dropped(load, tmp_path):
    dataset = load(xml_of(one() + one(box=("5", "5", "5", "9"))), bad_boxes="drop")
    where = tmp_path / "Annotations"
    assert len(boxes_of(dataset)) == 1
    assert f"{where}: dropped 1 bad boxes, the first: {where}/a.xml:5: the box has width 0" in dataset.notes


def test_a_list_of_classes_gives_their_order_and_every_class(load, tmp_path):
    write(tmp_path / "labels.txt", "plate\ncup\n")
    assert [category["name"] for category in load(xml_of(one())).categories] == ["plate", "cup"]
    with pytest.raises(UserError, match=r"a\.xml:4: the class 'cups' is not listed; did you mean 'cup'\?"):
        load(xml_of(one("cups")))


def test_classes_are_those_of_the_whole_set(load, tmp_path):
    write(tmp_path / "Annotations" / "b.xml", xml_of(one("ape")).replace("a.jpg", "b.jpg"))
    write(tmp_path / "ImageSets" / "Main" / "train.txt", "a\r\n\r\n")
    dataset = load(xml_of(one()))
    assert len(dataset) == 1 and [category["name"] for category in dataset.categories] == ["ape", "cup"]


def test_names_without_a_file_are_said_where_they_are_listed(load, tmp_path):
    load(xml_of(one()))
    path = tmp_path / "ImageSets" / "Main" / "train.txt"
    write(path, "a\nnone\n../../secret\n")
    faults = list(open_split(DataSettings(root=str(tmp_path)), "train").faults())
    assert [(fault.id, fault.where) for fault in faults] == [
        ("image.file_name", f"{path}:2"),
        ("image.file_name", f"{path}:3"),
    ]
    assert faults[0].sentence == "names 'none', which has no XML file"


def test_an_image_that_is_not_there_is_said(load, tmp_path):
    write(tmp_path / "Annotations" / "b.xml", xml_of(one()).replace("a.jpg", "c.jpg"))
    with pytest.raises(UserError, match=r"b\.xml: there is no image b\.\* for it \(its filename is 'c\.jpg'\)"):
        load(xml_of(one()))


def test_filenames_never_lead_out_of_the_folder(load, tmp_path):
    Image.new("RGB", (40, 30)).save(tmp_path.parent / "outside.jpg")
    write(tmp_path / "Annotations" / "b.xml", xml_of(one()).replace("a.jpg", "../../outside.jpg"))
    with pytest.raises(UserError, match=r"there is no image b"):
        load(xml_of(one()))


def clone_of_bccd(root, photos):
    """The public repository's layout, with what labelImg wrote: sizes, paths of another machine, ids by place."""
    base = root / "BCCD"
    for photo in photos:
        (base / "JPEGImages").mkdir(parents=True, exist_ok=True)
        Image.open(photo.path).save(base / "JPEGImages" / photo.name)
        path = f"/Users/cosmic/BCCD_Dataset/BCCD/JPEGImages/{photo.name}"
        write(base / "Annotations" / f"{photo.stem}.xml", voc_xml(photo, photo.name, path=path))
    for name, chosen in (("train", photos[:2]), ("val", photos[2:3]), ("test", photos[3:]), ("trainval", photos[:3])):
        write(base / "ImageSets" / "Main" / f"{name}.txt", "".join(f"{photo.stem}\n" for photo in chosen))
    write(root / "README.md", "# BCCD\n")
    write(root / "dataset" / "mxnet" / "x.txt", "")


def test_the_public_repository_of_blood_cells_is_read_as_it_is_cloned(tmp_path):
    photos = made_up(tmp_path / "photos")
    clone_of_bccd(tmp_path / "BCCD_Dataset", photos)
    data = DataSettings(root=str(tmp_path / "BCCD_Dataset"))
    assert splits_of(data) == ["test", "train", "trainval", "val"]
    train, val = (Dataset.of_split(data, split) for split in ("train", "val"))
    assert (len(train), len(val)) == (2, 1) and train.categories == val.categories
    left, top, width, height = photos[0].boxes[0][1]
    assert train.images[0].boxes[0].tolist() == [left, top, left + width, top + height]


def test_of_several_sets_one_must_be_named(tmp_path):
    for year in ("VOC2007", "VOC2012"):
        write(tmp_path / "VOCdevkit" / year / "Annotations" / "a.xml", xml_of(""))
    with pytest.raises(UserError, match=r"holds several sets \(VOCdevkit/VOC2007, VOCdevkit/VOC2012\); name one"):
        splits_of(DataSettings(root=str(tmp_path)))


def test_lists_of_one_class_are_no_splits(load, tmp_path):
    write(tmp_path / "ImageSets" / "Main" / "train.txt", "a\n")
    write(tmp_path / "ImageSets" / "Main" / "cup_train.txt", "a  1\n")
    load(xml_of(one()))
    assert splits_of(DataSettings(root=str(tmp_path))) == ["train"]


def test_an_empty_file_beside_the_others_is_said_itself(tmp_path):
    for name, text in (("a", ""), ("b", xml_of(one()))):
        Image.new("RGB", (40, 30)).save(tmp_path / f"{name}.jpg")
        write(tmp_path / f"{name}.xml", text)
    with pytest.raises(UserError, match=r"a\.xml:1: is no XML \(no element found\); was the file cut off\?"):
        Dataset(open_split(DataSettings(root=str(tmp_path)), "train"))


def test_images_behind_links_that_lead_out_of_the_set_are_not_taken(load, tmp_path):
    load(xml_of(one()))
    outside = tmp_path.parent / "outside"
    outside.mkdir()
    (tmp_path / "JPEGImages" / "a.jpg").rename(outside / "a.jpg")
    (tmp_path / "JPEGImages" / "sub").symlink_to(outside)
    (tmp_path / "JPEGImages" / "a.jpg").symlink_to("a.jpg")
    write(tmp_path / "Annotations" / "sub" / "a.xml", xml_of(one()))
    (tmp_path / "Annotations" / "a.xml").unlink()
    with pytest.raises(UserError, match=r"sub/a\.xml: there is no image a\.\* for it"):
        Dataset(open_split(DataSettings(root=str(tmp_path)), "train"))
