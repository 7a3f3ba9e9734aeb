from detect.models.necks.efm import EFM

__all__ = ["EFM"]
