"""The cross-stage-partial wrapper (arXiv 1911.11929, section 3.1, Fig. 2, 3 and 5)."""

import torch
from torch import Tensor, nn

from detect.errors import OptionError
from detect.models.layers import ConvNormAct

FUSIONS = ("both", "first", "last")
SPLITS = ("conv", "slice", "bypass", "whole")


class Slice(nn.Module):
    """Channels `start` to `stop` of a map. [B, C, H, W] -> [B, stop - start, H, W]"""

    def __init__(self, start: int, stop: int) -> None:
        super().__init__()
        self.start, self.stop = start, stop

    def forward(self, x: Tensor) -> Tensor:
        return x[:, self.start : self.stop]


class CrossStagePartial(nn.Module):
    """Split a stage's input in two parts, send one through `blocks`, and join them again.

    It goes around any stage: ResNet's and ResNeXt's (Fig. 5), DenseNet's and PeleeNet's (Fig. 2). Part 1 bypasses the
    blocks, part 2 goes through them; in the authors' published cfgs both parts are 1x1 convolutions of the same base
    map (`split="conv"`); `split="slice"` cuts the base map in two instead, and `"bypass"` takes part 1 as a slice and
    part 2 as a convolution, `"whole"` part 1 as the base map itself. `fusion` chooses Fig. 3's variant:

    - `both` (b): concat(T1(blocks(part 2)), part 1), and a second transition T2 after the join;
    - `first` (c): concat(blocks(part 2), part 1), then T2 only;
    - `last` (d): concat(T1(blocks(part 2)), part 1), no T2.

    The wrapper ends with the join: T2 belongs to the backbone, which may pool before it.

    Args:
        in_channels: channels of the base map.
        part1_channels, part2_channels: widths of the bypass and of the blocks' input.
        blocks: the module that part 2 goes through.
        blocks_channels: channels that `blocks` returns.
        part_activation: of the two parts' convolutions, where it is not `activation`.

    Raises:
        OptionError: the fusion or an activation is unknown.
        ValueError: the split is unknown, or slices do not add up to the base map.

    [B, in_channels, H, W] -> [B, blocks_channels + part1_channels, H, W]
    """

    def __init__(
        self,
        in_channels: int,
        part1_channels: int,
        part2_channels: int,
        blocks: nn.Module,
        blocks_channels: int,
        fusion: str = "both",
        activation: str = "leaky_relu",
        part_activation: str | None = None,
        split: str = "conv",
    ) -> None:
        super().__init__()
        if fusion not in FUSIONS:
            raise OptionError("fusion", f"unknown fusion '{fusion}'; known: {', '.join(FUSIONS)}")
        if split not in SPLITS:
            raise ValueError(f"unknown split '{split}'; known: {', '.join(SPLITS)}")
        if split in ("slice", "bypass") and part1_channels + part2_channels != in_channels:
            raise ValueError(f"cannot slice {in_channels} channels in {part1_channels} + {part2_channels}")
        if split == "whole" and part1_channels != in_channels:
            raise ValueError(f"part 1 is the whole base map of {in_channels} channels, not {part1_channels}")

        def part(channels: int) -> ConvNormAct:
            return ConvNormAct(in_channels, channels, activation=part_activation or activation)

        self.part1 = part(part1_channels) if split == "conv" else Slice(0, part1_channels)
        self.part2 = Slice(part1_channels, in_channels) if split == "slice" else part(part2_channels)
        self.blocks = blocks
        self.transition = (
            nn.Identity() if fusion == "first" else ConvNormAct(blocks_channels, blocks_channels, activation=activation)
        )
        self.channels = blocks_channels + part1_channels

    def forward(self, base: Tensor) -> Tensor:
        bypass = self.part1(base)
        deep = self.transition(self.blocks(self.part2(base)))
        return torch.cat([deep, bypass], dim=1)
