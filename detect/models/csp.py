"""The cross-stage-partial wrapper (arXiv 1911.11929, section 3.1, Fig. 2, 3 and 5)."""

import torch
from torch import nn

from detect.models.layers import ConvNormAct

FUSIONS = ("both", "first", "last")


class CrossStagePartial(nn.Module):
    """Split a stage's input in two parts, send one through `blocks`, and join them again.

    Part 1 bypasses the blocks, part 2 goes through them; in the authors' published cfgs both parts are 1x1
    convolutions of the same base map rather than slices. `fusion` chooses Fig. 3's variant:

    - `both` (b): concat(T1(blocks(part 2)), part 1), and a second transition T2 after the join;
    - `first` (c): concat(blocks(part 2), part 1), then T2 only;
    - `last` (d): concat(T1(blocks(part 2)), part 1), no T2.

    The wrapper ends with the join: T2 belongs to the backbone, which may pool before it (`has_second_transition`).

    Args:
        in_channels: channels of the base map.
        part1_channels, part2_channels: widths of the bypass and of the blocks' input.
        blocks: the module that part 2 goes through.
        blocks_channels: channels that `blocks` returns.

    [B, in_channels, H, W] -> [B, blocks_channels + part1_channels, H, W]
    """

    def __init__(
        self,
        in_channels,
        part1_channels,
        part2_channels,
        blocks,
        blocks_channels,
        fusion="both",
        activation="leaky_relu",
    ):
        super().__init__()
        if fusion not in FUSIONS:
            raise ValueError(f"unknown fusion '{fusion}'; known: {', '.join(FUSIONS)}")
        self.part1 = ConvNormAct(in_channels, part1_channels, activation=activation)
        self.part2 = ConvNormAct(in_channels, part2_channels, activation=activation)
        self.blocks = blocks
        self.transition = (
            nn.Identity() if fusion == "first" else ConvNormAct(blocks_channels, blocks_channels, activation=activation)
        )
        self.has_second_transition = fusion != "last"
        self.channels = blocks_channels + part1_channels

    def forward(self, base):
        deep = self.transition(self.blocks(self.part2(base)))
        return torch.cat([deep, self.part1(base)], dim=1)
