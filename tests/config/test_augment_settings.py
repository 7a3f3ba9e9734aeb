"""`augment` as a list of augmentations by name, or as its short form: right, or one sentence with its place."""

import subprocess
import sys

import pytest

from detect import config
from detect.config.build import check_augmentations
from detect.config.schema import AugmentSettings
from detect.data.augment.pipeline import AUGMENTATIONS, Pipeline
from detect.errors import UserError
from tests.config.test_config import CLASSIFIER, MODEL, error_of, write  # noqa: F401  write is a fixture

LIST = "augment:\n  - {name: Mosaic, p: .5}\n  - {name: MixUp}\n  - {name: RandomAffine, degrees: 5}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("augment:\n- {name: Mosaik, p: .5}", "6: augment[0]: unknown augmentation 'Mosaik'; did you mean 'Mosaic'?"),
        (
            "augment: [{name: GaussNoise}]",
            "5: augment[0]: unknown augmentation 'GaussNoise'; did you mean 'A.GaussNoise'?",
        ),
        ("augment: [{name: zzz}]", "5: augment[0]: unknown augmentation 'zzz'; known: Mosaic, Mosaic9, MixUp, CutMix"),
        (LIST + "  - {name: HSV,\n     p: 1.2}", "10: augment[3].p must be at most 1, not '1.2'"),
        (LIST + "  - {name: HSV, p: often}", "9: augment[3].p must be a number, not 'often'"),
        (LIST + "  - {name: HSV, p: [1]}", "9: augment[3].p must be a number, not '[1]'"),
        (LIST + "  - {name: CopyPaste, objects: 1.5}", "9: augment[3].objects must be a whole number, not '1.5'"),
        (LIST + "  - {name: CopyPaste, objects: 0}", "9: augment[3].objects must be at least 1, not '0'"),
        (LIST + "  - {name: MixUp, alfa: 1}", "9: unknown key 'augment[3].alfa'; did you mean 'alpha'?"),
        (
            LIST + "  - {name: A.GausNoise}",
            "9: augment[3].name: albumentations has no transform 'GausNoise'; did you mean",
        ),
        (
            LIST + "  - {name: A.Blur, blur_limt: 3}",
            "9: augment[3].blur_limt: A.Blur has no option 'blur_limt'; did you",
        ),
        (
            LIST + "  - {name: A.Blur,\n     p: 3}",
            "10: augment[3].p: A.Blur: p: input should be less than or equal to 1",
        ),
        (LIST + "  - {name: A.Normalize}", "9: augment[3].name: A.Normalize makes no 8-bit RGB images"),
        (LIST + "  - {name: A.RandomCrop}", "9: augment[3]: A.RandomCrop: height: field required"),
        (LIST + "  - Mosaic", "5: augment[3] must be a part with its name, like {name: EFM}, not 'Mosaic'"),
        ("augment: [{p: 1}]", "5: augment[0] must be a part with its name"),
        ("augment: Mosaic", "5: augment must be a section of 'key: value' lines or a list, not 'Mosaic'"),
        ("augment: null", "5: augment must be a section of 'key: value' lines or a list, not 'None'"),
        (
            LIST + "  - {name: Mosaic9}",
            "5: augment: one training image would be made of 72, at most 36 are allowed; leave out one of those that",
        ),
    ],
)
def test_every_mistake_is_a_sentence(write, text, expected):  # noqa: F811
    path = write(MODEL + text)
    assert error_of(path).startswith(f"{path}:{expected}")


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_every_augmentation_is_made_of_its_defaults(write, name):  # noqa: F811
    settings = config.load(write(MODEL + f"augment: [{{name: {name}}}]"))
    (step,) = Pipeline(settings.augment, None, None).steps
    assert (type(step), step.p, step.off) == (AUGMENTATIONS[name], 1.0, 0.0)


def test_a_list_is_what_it_was_after_writing_and_reading_it(write):  # noqa: F811
    settings = config.load(write(MODEL + LIST + "  - {name: A.GaussNoise, p: 1e-1, std_range: [0.1, 0.2]}"))
    assert settings.augment[3] == {"name": "A.GaussNoise", "p": "1e-1", "std_range": [0.1, 0.2]}
    assert settings.augment[:3] == [
        {"name": "Mosaic", "p": 0.5}, {"name": "MixUp"}, {"name": "RandomAffine", "degrees": 5.0}
    ]  # fmt: skip
    assert config.load(write(config.dump(settings), "again.yaml")) == settings
    assert config.from_dict(config.to_dict(settings)) == settings


def test_overrides_change_keys_of_the_short_form_and_give_a_list_as_a_whole(write):  # noqa: F811
    keys, of_list = write(MODEL + "augment: {mosaic: 0.5, flip: 0}"), write(MODEL + LIST, "list.yaml")
    assert config.load(keys, ["augment.mosaic=0"]).augment == AugmentSettings(mosaic=0, flip=0)
    for path in (keys, of_list):
        assert config.load(path, ["augment=[{name: HSV, hue: 0}]"]).augment == [{"name": "HSV", "hue": 0.0}]
        assert config.load(path, ["augment=[]"]).augment == []
    assert config.load(of_list, ["augment={mosaic: 0.2}"]).augment == AugmentSettings(mosaic=0.2)
    for override in ("augment.mosaic=0", "augment.0.p=1"):
        name = override.partition("=")[0]
        expected = f"--set {name}: augment is a list in {of_list}:5; give all of it, as augment=[...]"
        assert error_of(of_list, override) == expected


def test_a_file_replaces_its_parents_list_or_keys(write):  # noqa: F811
    write(MODEL + LIST, "list.yaml")
    write(MODEL + "augment: {flip: 0}", "keys.yaml")
    assert config.load(write("base: list.yaml\naugment: {mosaic: 0.3}")).augment == AugmentSettings(mosaic=0.3)
    assert config.load(write("base: list.yaml\naugment: [{name: HSV}]")).augment == [{"name": "HSV"}]
    assert config.load(write("base: keys.yaml\naugment: [{name: HSV}]")).augment == [{"name": "HSV"}]
    message = error_of(write("base: keys.yaml\naugment: [{name: HSV, hu: 1}]"))
    assert message.endswith("run.yaml:2: unknown key 'augment[0].hu'; did you mean 'hue'?")


def test_a_classifier_takes_no_list(write):  # noqa: F811
    with pytest.raises(UserError, match=r"augment must be a section of 'key: value' lines, not"):
        config.load(write(CLASSIFIER + "augment: [{name: HSV}]"), settings_type=None)


def test_reading_weights_makes_nothing_of_albumentations(write):  # noqa: F811
    """A stranger's file may ask for any of its transforms: they are made when one trains with them."""
    settings = config.load(write(MODEL + "augment: [{name: A.GaussNoise}]"))
    values = config.to_dict(settings) | {"augment": [{"name": "A.NoSuch", "file": "/etc/passwd"}]}
    asked = config.from_dict(values)
    with pytest.raises(UserError, match=r"augment\[0\].name: albumentations has no transform 'NoSuch'"):
        check_augmentations(asked)
    with pytest.raises(UserError, match=r"^augment\[0\]: albumentations has no transform 'NoSuch'"):
        Pipeline(asked.augment, None, None)
    code = (
        f"from detect import config; config.from_dict({values!r}); import sys; print('albumentations' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
