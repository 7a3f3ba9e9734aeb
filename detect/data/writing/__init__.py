"""Data sets written anew, in each format that is written; `writers.py` lists them."""
