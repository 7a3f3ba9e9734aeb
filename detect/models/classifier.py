"""A backbone as an image classifier, the form in which the paper's ImageNet tables count it."""

from torch import nn

from detect.models.detector import check_size


class Classifier(nn.Module):
    """Images [B, 3, H, W] -> class logits [B, num_classes]: global average pooling and a linear 1x1 convolution."""

    def __init__(self, backbone, num_classes):
        super().__init__()
        self.backbone = backbone
        self.stride = max(backbone.strides)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classify = nn.Conv2d(backbone.channels[-1], num_classes, 1)

    def forward(self, images):
        check_size(images, self.stride)
        return self.classify(self.pool(self.backbone(images)[-1])).flatten(1)
