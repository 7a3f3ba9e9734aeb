"""Images in class folders are found in one order, and what is wrong with the folders is named."""

import numpy as np
import pytest

from detect.config.schema import ImageFolderSettings
from detect.data.image_folder import ImageFolder, has_split
from detect.errors import UserError
from detect.ops.image import write_image


@pytest.fixture
def root(tmp_path):
    """train: 2 cats and 3 dogs; val: 1 dog."""
    for name in ("train/cat/1.png", "train/cat/2.JPG", "train/dog/a.jpg", "train/dog/b.png", "train/dog/c.png"):
        write(tmp_path / "set" / name)
    write(tmp_path / "set" / "val" / "dog" / "x.png")
    return tmp_path / "set"


def write(path, level=90):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, np.full((6, 8, 3), level, np.uint8))


def split_of(root, split, classes=None):
    return ImageFolder.of_split(ImageFolderSettings(root=str(root)), split, classes)


def error_of(*arguments):
    with pytest.raises(UserError) as caught:
        split_of(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_images_come_class_by_class(root):
    images = split_of(root, "train")
    assert images.classes == ["cat", "dog"]
    assert images.names == ["cat/1.png", "cat/2.JPG", "dog/a.jpg", "dog/b.png", "dog/c.png"]
    assert images.labels.tolist() == [0, 0, 1, 1, 1] and images.labels.dtype == np.int64
    assert len(images) == 5 and not images.notes and images.majority() == 0.6
    assert images.read(3).shape == (6, 8, 3)


def test_a_split_to_evaluate_on_has_the_labels_of_the_training(root):
    images = split_of(root, "val", ["cat", "dog"])
    assert images.classes == ["cat", "dog"] and images.labels.tolist() == [1]
    assert error_of(root, "val", ["cat", "dig"]) == (
        f"{root / 'val'}: the class 'dog' is none of the 2 known ones; did you mean 'dig'?"
    )


def test_what_is_no_image_is_left_out_and_said(root):
    (root / "train" / "cat" / "notes.txt").touch()
    (root / "train" / "cat" / "more").mkdir()
    (root / "train" / "cat" / ".DS_Store").touch()
    (root / "train" / "list.txt").touch()
    images = split_of(root, "train")
    assert len(images) == 5 and images.classes == ["cat", "dog"]
    assert images.notes == [f"{root / 'train'}: 2 files and folders in it are no images by their names"]


def test_missing_and_empty_folders_are_named(root, tmp_path):
    assert "data.root: no such folder" in error_of(tmp_path / "none", "train")
    assert error_of(root, "vall").startswith(f"{root}: no folder 'vall'; images lie in vall/CLASS/; did you mean 'val'")
    assert "no folder '../set/val'" in error_of(root, "../set/val")
    (root / "empty").mkdir()
    assert error_of(root, "empty") == f"{root / 'empty'}: holds no class folders; images lie in empty/CLASS/"
    (root / "val" / "cow").mkdir()
    assert error_of(root, "val") == f"{root / 'val' / 'cow'}: holds no images; add some or remove the class"


def test_whether_a_split_is_there(root):
    data = ImageFolderSettings(root=str(root))
    assert has_split(data, "val") and not has_split(data, "test") and not has_split(data, "train/cat")


@pytest.mark.parametrize("kind", ["class", "image"])
def test_links_stay_inside(root, tmp_path, kind):
    write(tmp_path / "outside" / "1.png")
    if kind == "class":
        (root / "train" / "cow").symlink_to(tmp_path / "outside")
    else:
        (root / "train" / "cat" / "3.png").symlink_to(tmp_path / "outside" / "1.png")
    assert f"leads out of {root / 'train'}" in error_of(root, "train")


def test_a_link_to_itself_is_no_image_and_no_class(root):
    (root / "train" / "cat" / "3.png").symlink_to("3.png")
    (root / "train" / "cow").symlink_to("cow")
    images = split_of(root, "train")
    assert len(images) == 5 and images.classes == ["cat", "dog"]


def test_links_inside_and_a_linked_root_are_fine(root, tmp_path):
    (root / "train" / "hound").symlink_to(root / "train" / "dog")
    (tmp_path / "link").symlink_to(root)
    assert split_of(tmp_path / "link", "train").classes == ["cat", "dog", "hound"]


def test_an_image_that_is_corrupt_or_gone_is_named(root):
    (root / "train" / "cat" / "1.png").write_bytes(b"no image")
    images = split_of(root, "train")
    (root / "train" / "dog" / "c.png").unlink()
    for index, words in ((0, "not a readable image"), (4, "no such file")):
        with pytest.raises(UserError, match=words) as caught:
            images.read(index)
        assert str(root / "train" / images.names[index]) in str(caught.value)
