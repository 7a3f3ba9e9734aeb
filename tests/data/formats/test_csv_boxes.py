"""CSVs: which columns are known, and every fault with its line."""

import pytest
from PIL import Image

from detect.config.schema import DataSettings
from detect.data.dataset import Dataset
from detect.data.formats.csv_boxes import columns_of
from detect.data.formats.opening import open_split, splits_of
from detect.errors import UserError
from tests.data.exports import write


@pytest.fixture
def load(tmp_path):
    def read(text, **options):
        Image.new("RGB", (40, 20)).save(tmp_path / "a.jpg")
        write(tmp_path / "boxes.csv", text)
        return Dataset(open_split(DataSettings(root=str(tmp_path)), "train"), **options)

    return read


HEADER = "filename,class,xmin,ymin,xmax,ymax\n"


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ("filename,width,height,class,xmin,ymin,xmax,ymax", "file class left top right bottom width height"),
        ("image,x,y,w,h", "file x y w h"),
        ("image,x,y,width,height,label", "file class x y w h"),
        ("image_id,x,y,w,h,width,height", "file x y w h width height"),
        ("label_name,bbox_x,bbox_y,bbox_width,bbox_height,image_name,image_width,image_height",
         "file class x y w h width height"),
        ("Filename , Label,X1,Y1,X2,Y2", "file class left top right bottom"),
    ],
)  # fmt: skip
def test_columns_are_known_by_their_names(header, columns):
    assert list(columns_of(header.split(","))) == columns.split()


@pytest.mark.parametrize("header", ["a.jpg,cup,1,2,3,4", "filename,class", "xmin,ymin,xmax,ymax", "image,cx,cy,w,h"])
def test_a_first_row_that_does_not_say_the_columns_is_refused(load, tmp_path, header):
    with pytest.raises(UserError) as caught:
        load(f"{header}\n")
    told = f"{tmp_path}/boxes.csv:1: '{header}' does not name the columns; needed are filename, class, and xmin, "
    assert str(caught.value).startswith(told)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.jpg,cup,1,2,x,4", "boxes.csv:3: has the box ['1', '2', 'x', '4']; it must be four numbers in px"),
        ("a.jpg,,1,2,3,4", "boxes.csv:3: has no class; write one"),
        ("a.jpg,cup,1,2,3", "boxes.csv:3: has 5 cells, but the first row names 6 columns"),
        ("../a.jpg,cup,1,2,3,inf", "boxes.csv:3: has the box ['1', '2', '3', 'inf']; it must be four numbers in px"),
        ("b.jpg,cup,1,2,3,4", "b.jpg: is not there"),
        ("a.jpg,cup,5,2,3,4", "boxes.csv:3: the box has width -2; remove it"),
    ],
)
def test_a_fault_has_its_line(load, tmp_path, row, message):
    with pytest.raises(UserError) as caught:
        load(f"{HEADER}a.jpg,cup,1,2,3,4\n{row}\n")
    assert str(caught.value).startswith(f"{tmp_path}/{message}")


def test_images_that_are_listed_without_numbers_have_no_objects(load, tmp_path):
    Image.new("RGB", (9, 9)).save(tmp_path / "b.jpg")
    dataset = load(f"\ufeff{HEADER}a.jpg,,,,,\r\nb.jpg,cup,1,2,3,4\r\n")
    assert [len(image.boxes) for image in dataset.images] == [0, 1]


def test_without_classes_there_is_one(load, tmp_path):
    dataset = load("image;x;y;w;h\na.jpg;1;2;3;4\n")
    assert dataset.categories == [{"id": 1, "name": "object"}]
    assert dataset.images[0].boxes.tolist() == [[1, 2, 4, 6]]
    assert f"{tmp_path}/boxes.csv: has no column of classes, so that all boxes are 'object'" in dataset.notes


def test_files_are_splits_by_their_names(tmp_path):
    for name in ("train_labels", "valid_labels", "notes"):
        write(tmp_path / f"{name}.csv", HEADER)
    assert splits_of(DataSettings(root=str(tmp_path))) == ["train", "val"]
