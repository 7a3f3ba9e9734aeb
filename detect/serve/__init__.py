"""A detector as a web server: a page to watch a source on, and an address that takes images."""

LOWEST = 0.05  # score from which on detections are kept, so that a viewer may lower the threshold
