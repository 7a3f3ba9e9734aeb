"""Settings: YAML files and Darknet's .cfg files in, checked and typed settings out, and models made of them."""

from detect.config.build import build_model, check_model, title
from detect.config.read import dump, from_dict, in_one_line, load, read_data, to_dict

__all__ = ["build_model", "check_model", "dump", "from_dict", "in_one_line", "load", "read_data", "title", "to_dict"]
