"""A backbone as an image classifier, the form in which the paper's ImageNet tables count it."""

from torch import Tensor, nn

from detect.models.detector import check_size


class Classifier(nn.Module):
    """Images [B, 3, H, W] -> class logits [B, num_classes]: global average pooling and a linear 1x1 convolution.

    A backbone whose classifier has more than the pooling between the two says so with a method `classifier_layers`,
    which returns the layers and their channels (PP-LCNet, the Darknet reference model).
    """

    def __init__(self, backbone: nn.Module, num_classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.num_classes = num_classes
        self.stride = max(backbone.strides)
        if hasattr(backbone, "classifier_layers"):
            self.pool, channels = backbone.classifier_layers()
        else:
            self.pool, channels = nn.AdaptiveAvgPool2d(1), backbone.channels[-1]
        self.classify = nn.Conv2d(channels, num_classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        check_size(*images.shape[-2:], self.stride)
        return self.classify(self.pool(self.backbone(images)[-1])).flatten(1)
