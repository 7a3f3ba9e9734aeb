"""EFM, the exact fusion model (arXiv 1911.11929, section 3.2, Fig. 6c)."""

import torch
from torch import nn

from detect.models.layers import SAM, ConvNormAct, Maxout, Upsample
from detect.registry import NECKS


@NECKS.register
class EFM(nn.Module):
    """Fuse each scale with its two neighbours, compress with Maxout, predict bottom-up.

    C2..C5 at strides s, 2s, 4s, 8s -> P3 [B, w3, H/2s, W/2s], P4 [B, w4, H/4s, W/4s], P5 [B, w4, H/8s, W/8s].

    Established by Fig. 6c: F5 fuses L5 and L4; F4 fuses L4, L3 and F5; F3 fuses L3, L2 and F4; then P3 <- F3,
    P4 <- (P3, F4), P5 <- (P4, F5). Recovered from Fig. 7: every convolution with its width (4.158 M floats and
    4.866 BFLOPs at 416 on CSPPeleeNet, 4.308 M and 5.066 with SAM). Inferred ("EFM-R1"), because they cost neither
    parameters nor BFLOPs: that C4 enters F5 by addition, the order inside F3, that F4 is upsampled through Maxout,
    and that F5 joins P5 by addition.

    Args:
        in_channels: channels of C2..C5.
        strides: strides of C2..C5.
        widths: (w3, w4, w5), the widths of the fusion at the three scales.
        sam: spatial attention on the fused map at the entrance of each prediction branch.
    """

    def __init__(self, in_channels, strides, widths=(64, 128, 256), sam=False, activation="leaky_relu"):
        super().__init__()
        if len(in_channels) != 4:
            raise ValueError(f"EFM fuses the four levels C2..C5, the backbone gives {len(in_channels)}")
        if len(widths) != 3:
            raise ValueError(f"widths has {len(widths)} numbers; EFM needs three, for P3, P4 and P5")
        if min(widths) < 2 or widths[0] % 2:
            raise ValueError(f"widths are {list(widths)}; they must be at least 2 and the first one even")
        c2, c3, c4, c5 = in_channels
        w3, w4, w5 = widths
        half = w3 // 2

        def conv(in_channels, out_channels, kernel_size=1, stride=1):
            return ConvNormAct(in_channels, out_channels, kernel_size, stride, activation=activation)

        def attention(channels):
            return SAM(channels) if sam else nn.Identity()

        self.up = Upsample()
        self.down = nn.MaxPool2d(2)

        self.fuse5 = nn.Sequential(conv(c5, w5), conv(w5, w5, 3))
        self.c4_to_f5 = Maxout(c4, w5)

        self.f5_to_f4 = conv(w5, w4)
        self.c4_to_f4 = Maxout(c4, w4)
        self.fuse4 = nn.Sequential(conv(2 * w4, w4), conv(w4, w4, 3), conv(w4, w3))
        self.c3 = Maxout(c3, w3)
        self.c3_to_f4 = conv(w3, w3, 3, stride=2)

        self.c3_to_f3 = nn.Sequential(conv(w3, half), conv(half, half, 3))
        self.c2_to_f3 = Maxout(c2, half)
        self.fuse3 = nn.Sequential(conv(2 * half, w3), conv(w3, w3, 3), conv(w3, half))
        self.fuse3_wide = conv(half, half, 3)
        self.f4_to_p3 = Maxout(2 * w3, w3)

        self.predict3 = nn.Sequential(attention(2 * half + w3), conv(2 * half + w3, w3), conv(w3, w3, 3))
        self.p3_to_p4 = conv(w3, w4, 3, stride=2)
        self.predict4 = nn.Sequential(attention(w4 + 2 * w3), conv(w4 + 2 * w3, w4), conv(w4, w4, 3))
        self.p4_to_p5 = conv(w4, w5, 3, stride=2)
        self.predict5 = nn.Sequential(attention(w5), conv(w5, w4), conv(w4, w4, 3))

        self.channels = (w3, w4, w4)
        self.strides = tuple(strides[1:])

    def forward(self, pyramid):
        c2, c3, c4, c5 = pyramid

        f5 = self.fuse5(c5) + self.down(self.c4_to_f5(c4))
        b4 = torch.cat([self.up(self.f5_to_f4(f5)), self.c4_to_f4(c4)], dim=1)
        m3 = self.c3(c3)
        f4 = torch.cat([self.fuse4(b4), self.c3_to_f4(m3)], dim=1)
        b3 = torch.cat([self.c3_to_f3(m3), self.down(self.c2_to_f3(c2))], dim=1)
        g3 = self.fuse3(b3)
        f3 = torch.cat([g3, self.fuse3_wide(g3)], dim=1)

        p3 = self.predict3(torch.cat([f3, self.up(self.f4_to_p3(f4))], dim=1))
        p4 = self.predict4(torch.cat([self.p3_to_p4(p3), f4], dim=1))
        p5 = self.predict5(self.p4_to_p5(p4) + f5)
        return [p3, p4, p5]
