"""A training that waits for its images says so once, with its numbers and what helps."""

from dataclasses import replace

import pytest

from detect.config.schema import (
    AugmentSettings,
    ClassifierSettings,
    DataSettings,
    ImageFolderSettings,
    Settings,
    TrainSettings,
)
from detect.engine.loader_watch import LoaderWatch

LIST = [{"name": "Mosaic9", "p": 0.5}, {"name": "CutMix", "p": 0}, {"name": "MixUp"}, {"name": "A.D4"}, {"name": "HSV"}]
END = "images saved smaller, as large as the network sees them"


def settings_of(workers=2, mosaic=0.0, cache="none"):
    augment = AugmentSettings(mosaic=mosaic)
    return Settings(None, data=DataSettings("x", cache=cache), augment=augment, train=TrainSettings(workers=workers))


def lines(watch, steps):
    return [line for step in steps if (line := watch.add(*step))]


def test_it_tells_once_and_in_numbers():
    watch = LoaderWatch(settings_of(workers=2, mosaic=0.5), available=2)
    (line,) = lines(watch, [(16, 4.0, 1.6)] * 100)
    assert line == (
        "loader-bound: 40% of the last 60 s went by waiting for images; 4.0 images/s are trained, 6.7 would be "
        "without. What helps: data.cache=ram, or disk, which decodes each image once; augment.mosaic below 0.5, as "
        f"each takes four images; {END}"
    )


@pytest.mark.parametrize(("waiting", "count"), [(1.15, 0), (1.25, 1)])
def test_below_thirty_percent_it_is_silent(waiting, count):
    assert len(lines(LoaderWatch(settings_of()), [(16, 4.0, waiting)] * 100)) == count


def test_the_first_step_and_a_short_wait_do_not_count():
    watch = LoaderWatch(settings_of())
    assert not lines(watch, [(16, 90.0, 90.0)] + [(16, 10.0, 0.0)] * 5 + [(16, 10.0, 9.0)] + [(16, 10.0, 0.0)] * 30)
    assert lines(watch, [(16, 10.0, 9.0)] * 6)  # a later window


@pytest.mark.parametrize(
    ("settings", "available", "advice"),
    [
        (settings_of(0, cache="ram"), 4, ["train.workers=4, a loader process for each core, instead of 0", END]),
        (settings_of(4, cache="disk"), 4, [END]),
        (ClassifierSettings(None, data=ImageFolderSettings("x")), 2, [END]),
        (
            replace(settings_of(cache="ram"), augment=LIST), 2,
            [
                "augment: p of Mosaic9 below 0.5, as each takes nine images",
                "augment: p of MixUp below 1, as each takes two images", END,
            ],
        ),
    ],
)  # fmt: skip
def test_only_what_can_still_be_changed_is_advised(settings, available, advice):
    (line,) = lines(LoaderWatch(settings, available), [(16, 10.0, 9.0)] * 7)
    assert line.split("What helps: ")[1] == "; ".join(advice)
