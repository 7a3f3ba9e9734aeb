"""From a set of images to the batches of a training, in an order of its own; `loader.py` is the door."""
