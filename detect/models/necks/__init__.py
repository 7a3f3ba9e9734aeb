import detect.models.convolutions  # noqa: F401  gives every part the option `conv`
from detect.models.necks.cem import CEM
from detect.models.necks.efm import EFM
from detect.models.necks.fpn import FPN, TinyFPN
from detect.models.necks.gfm import GFM
from detect.models.necks.panet import PANet
from detect.models.necks.prn import PRN

__all__ = ["CEM", "EFM", "FPN", "GFM", "PRN", "PANet", "TinyFPN"]
