import detect.models.convolutions  # noqa: F401  gives every part the option `conv`
from detect.models.backbones.darknet import Darknet, DarknetReference
from detect.models.backbones.densenet import DenseNet
from detect.models.backbones.lcnet import PPLCNet
from detect.models.backbones.peleenet import CSPPeleeNet, PeleeNet
from detect.models.backbones.reference import CSPReference
from detect.models.backbones.resnet import CSPResNet10, ResNet
from detect.models.backbones.timm_adapter import Timm
from detect.models.backbones.vgg import VGG16
from detect.models.backbones.vovnet import VoVNet

__all__ = [
    "VGG16",
    "CSPPeleeNet",
    "CSPReference",
    "CSPResNet10",
    "Darknet",
    "DarknetReference",
    "DenseNet",
    "PPLCNet",
    "PeleeNet",
    "ResNet",
    "Timm",
    "VoVNet",
]
