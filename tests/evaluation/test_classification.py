"""Top-1 and top-5 count what they say, whatever the scores; ten crops are averaged."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from detect.data.image_folder import ImageFolder
from detect.data.loading.shard import Shard
from detect.data.views import centre_crop, ten_crops
from detect.evaluation.classification import accuracies, class_scores, per_class, per_class_table, ranks
from detect.ops.image import read_image, write_image


def test_ranks_count_the_likelier_classes():
    scores = np.array([[0.1, 0.5, 0.4], [0.1, 0.5, 0.4], [0.1, 0.5, 0.4]])
    assert ranks(scores, np.array([0, 1, 2])).tolist() == [2, 0, 1]


def test_equal_scores_count_in_the_order_of_the_labels():
    """A net that gives every class the same score gets what always saying the first class gets."""
    scores = np.full((4, 8), 0.125)
    assert ranks(scores, np.array([0, 1, 4, 7])).tolist() == [0, 1, 4, 7]


def test_what_is_no_number_is_never_right():
    scores = np.full((2, 3), np.nan)
    scores[1, 2] = 1
    assert ranks(scores, np.array([0, 2])).min() > 0 and accuracies(ranks(scores, np.array([0, 2])))["top1"] == 0


def test_ranks_agree_with_sorting():
    rng = np.random.default_rng(0)
    scores, labels = rng.random((200, 12)), rng.integers(0, 12, 200)
    order = np.argsort(-scores, axis=1)
    expected = [list(order[i]).index(labels[i]) for i in range(200)]
    assert ranks(scores, labels).tolist() == expected
    found = accuracies(ranks(scores, labels))
    assert found["top1"] == np.mean(order[:, 0] == labels)
    assert found["top5"] == np.mean([labels[i] in order[i, :5] for i in range(200)])


def test_with_five_classes_or_less_top5_is_1():
    assert accuracies(ranks(np.random.default_rng(0).random((20, 5)), np.arange(20) % 5))["top5"] == 1


def test_classes_are_evaluated_one_by_one():
    found = per_class(np.array([0, 3, 0]), np.array([2, 2, 0]), ["cow", "cat", "dog\x1b"])
    assert found == {"cow": {"images": 1, "top1": 1.0}, "dog\x1b": {"images": 2, "top1": 0.5}}
    assert per_class_table(found).splitlines() == [
        "class    images  top-1", "cow           1  1.000", "dog\\x1b       2  0.500",
    ]  # fmt: skip


def test_classes_whose_long_names_begin_alike_are_all_told():
    found = {"x" * 50 + end: {"images": 1, "top1": 1.0} for end in "ab"}
    lines = per_class_table(found).splitlines()
    assert len(lines) == 3 and lines[1] == lines[2] == "x" * 37 + "..." + "       1  1.000"


class Bright(torch.nn.Module):
    """Logits that depend on the places of the brightness; remembers how many views came at once."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(3, 3 * 16 * 16, generator=torch.Generator().manual_seed(0)))
        self.seen = []

    def forward(self, images):
        assert images.dtype == torch.float32 and images.min() >= 0 and images.max() <= 1
        self.seen.append(len(images))
        return images.flatten(1) @ self.weight.T


@pytest.fixture
def images(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(50):
        path = tmp_path / "val" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, rng.integers(0, 255, (20 + number, 40, 3), dtype=np.uint8))
    return ImageFolder(tmp_path / "val")


@pytest.mark.parametrize(("ten", "resize"), [(False, None), (False, 18), (True, None)])
def test_scores_are_the_mean_probability_of_the_views(images, ten, resize):
    model = Bright()
    scores = class_scores(model, images, 16, ten_crop=ten, resize=resize)
    assert scores.shape == (50, 3) and scores.dtype == np.float32
    assert sum(model.seen) == (500 if ten else 50) and max(model.seen) <= 40
    for index in (0, 1, 37, 49):
        image = read_image(images.folder / images.names[index])
        views = ten_crops(image, 16) if ten else centre_crop(image, 16, resize)[None]
        with torch.no_grad():
            probabilities = model(torch.from_numpy(views).permute(0, 3, 1, 2).float() / 255).softmax(1).mean(0)
        assert_close(torch.from_numpy(scores[index]), probabilities)


@pytest.mark.parametrize("size", [3, 60])
def test_scores_of_shards_are_those_of_the_whole(images, size):
    whole = class_scores(Bright(), images, 16)
    shards = [class_scores(Bright(), images, 16, shard=Shard(rank, size)) for rank in range(size)]
    shards = [scores for scores in shards if len(scores)]  # `Bright` has a class more than the set
    assert_close(torch.from_numpy(np.concatenate(shards)), torch.from_numpy(whole))
