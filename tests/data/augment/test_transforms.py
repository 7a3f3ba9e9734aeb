"""albumentations' transforms by name: which there are, and what is said of those that are not."""

import builtins
import sys

import numpy as np
import pytest

from detect.data.augment.by_albumentations import Albumentation
from detect.data.augment.transforms import import_albumentations
from detect.errors import OptionError, UserError


@pytest.mark.parametrize(
    ("name", "options", "option", "sentence"),
    [
        ("A.GausNoise", {}, "name", "albumentations has no transform 'GausNoise'; did you mean 'A.GaussNoise'?"),
        ("A.Compose", {"transforms": []}, "name", "albumentations has no transform 'Compose'"),
        ("A.", {}, "name", "albumentations has no transform ''"),
        ("A.__doc__", {}, "name", "albumentations has no transform '__doc__'"),
        ("A.DualTransform", {}, "name", "albumentations has no transform 'DualTransform'"),
        ("A.ToTensorV2", {}, "name", "A.ToTensorV2 cannot move boxes along with an image; take another"),
        ("A.OverlayElements", {}, "name", "A.OverlayElements cannot move boxes along with an image; take another"),
        ("A.CenterCrop3D", {"size": [1, 1, 1]}, "name", "A.CenterCrop3D cannot move boxes"),
        ("A.MaskDropout", {}, "name", "A.MaskDropout needs mask beside an image and boxes; take another"),
        ("A.FDA", {}, "name", "A.FDA needs fda_metadata beside an image and boxes; take another"),
        ("A.Normalize", {}, "name", "A.Normalize makes no 8-bit RGB images, which all others work on; leave it out"),
        ("A.ToFloat", {}, "name", "A.ToFloat makes no 8-bit RGB images"),
        ("A.Blur", {"blur_limt": 3}, "blur_limt", "A.Blur has no option 'blur_limt'; did you mean 'blur_limit'?"),
        ("A.Blur", {"blur_limit": "far"}, "blur_limit", "A.Blur: blur_limit: "),
        ("A.Blur", {"p": 1.5}, "p", "A.Blur: p: input should be less than or equal to 1"),
        ("A.RandomCrop", {"width": 4}, "height", "A.RandomCrop: height: field required"),
        ("A.MedianBlur", {"blur_limit": [3, 5], "p": 2}, "p", "A.MedianBlur: p: "),
        ("A.HorizontalFlip", {"limit": 3}, "limit", "A.HorizontalFlip has no option 'limit'"),
        ("A.GaussNoise", {"std_range": [0.5, 0.1]}, "std_range", "A.GaussNoise: std_range: "),
    ],
)  # fmt: skip
def test_what_is_wrong_is_a_sentence_on_its_option(name, options, option, sentence):
    with pytest.raises(OptionError) as caught:
        Albumentation(name, options)
    assert str(caught.value).startswith(sentence) and "\n" not in str(caught.value)
    assert caught.value.option == option


def test_every_transform_that_moves_boxes_is_there():
    library, made = import_albumentations(), 0
    for name in ("GaussNoise", "D4", "XYMasking", "RandomRain", "Morphological", "ToGray", "ChannelDropout", "CLAHE"):
        transform = Albumentation(f"A.{name}", {"p": 0.3, "off": 0.1})
        assert isinstance(transform.transform, getattr(library, name)) and transform.transform.p == 0.3
        assert transform.off == 0.1
        made += 1
    assert made == 8 and np.isclose(Albumentation("A.D4", {}).transform.p, 1)  # albumentations' own default


def test_without_albumentations_it_is_said_what_to_install(monkeypatch):
    real = builtins.__import__

    def missing(name, *rest, **more):
        if name == "albumentations":
            raise ModuleNotFoundError("No module named 'albumentations'", name=name)
        return real(name, *rest, **more)

    monkeypatch.delitem(sys.modules, "albumentations", raising=False)
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(UserError, match=r"this needs albumentations, which is not installed: pip install"):
        Albumentation("A.Blur", {})
