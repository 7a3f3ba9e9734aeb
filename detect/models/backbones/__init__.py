from detect.models.backbones.peleenet import CSPPeleeNet

__all__ = ["CSPPeleeNet"]
