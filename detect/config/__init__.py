"""Settings: YAML files and Darknet's .cfg files in, checked and typed settings out."""

from detect.config.read import MAX_BYTES, dump, from_dict, load, load_with_origins, read_data, to_dict

__all__ = ["MAX_BYTES", "dump", "from_dict", "load", "load_with_origins", "read_data", "to_dict"]
