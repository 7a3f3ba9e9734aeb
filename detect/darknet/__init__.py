"""Darknet's files: any supported .cfg as a module, its .weights read and written, and our models as such files.

`load(cfg, weights)` gives a `DarknetNetwork`; `weights.read` and `weights.write` move numbers between it and a file;
`load_weights` fills one of our models from a .weights file. Settings and the writing of files are not known here.
"""

from detect.darknet.filling import load_weights
from detect.darknet.names import read_names
from detect.darknet.network import DarknetNetwork, load

__all__ = ["DarknetNetwork", "load", "load_weights", "read_names"]
