"""`detect classify train|evaluate`: a backbone as a classifier."""

from detect.cli import classify_evaluate, classify_train

HELP = "train or evaluate a classifier, the form in which a backbone is trained on ImageNet"
VERBS = {"train": classify_train, "evaluate": classify_evaluate}
