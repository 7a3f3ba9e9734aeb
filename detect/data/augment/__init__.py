"""Random changes of training images by name: a file for each kind, and `pipeline.py`, the list of all."""

import detect.config  # noqa: F401  # first: it checks these settings, which are described in words of its schema
