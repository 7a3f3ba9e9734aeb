"""Annotations in each format that is read in place; `opening.py` is the door."""
