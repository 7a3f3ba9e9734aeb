"""Settings: YAML files and Darknet's .cfg files in, checked and typed settings out, and models made of them."""

from detect.config.build import build, check, title
from detect.config.read import MAX_BYTES, dump, from_dict, load, read_data, to_dict

__all__ = ["MAX_BYTES", "build", "check", "dump", "from_dict", "load", "read_data", "title", "to_dict"]
