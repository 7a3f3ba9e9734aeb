"""The cross-stage-partial wrapper joins as Fig. 3 of arXiv 1911.11929 draws it."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from detect.models.csp import FUSIONS, CrossStagePartial


def stage(fusion="both"):
    torch.manual_seed(0)
    blocks = nn.Conv2d(5, 7, 3, padding=1)
    return CrossStagePartial(8, 3, 5, blocks, blocks_channels=7, fusion=fusion).eval()


@pytest.mark.parametrize("fusion", FUSIONS)
def test_output_is_the_blocks_path_then_the_bypass(fusion):
    csp, base = stage(fusion), torch.randn(2, 8, 4, 6)
    joined = csp(base)
    deep = csp.transition(csp.blocks(csp.part2(base)))
    assert joined.shape == (2, csp.channels, 4, 6)
    assert csp.channels == 7 + 3
    assert_close(joined[:, :7], deep)
    assert_close(joined[:, 7:], csp.part1(base))


@pytest.mark.parametrize(("fusion", "first_transition"), [("both", True), ("first", False), ("last", True)])
def test_fusion_orders_differ_in_their_transitions(fusion, first_transition):
    assert isinstance(stage(fusion).transition, nn.Identity) != first_transition


def test_slices_share_the_base_map_out():
    torch.manual_seed(0)
    csp = CrossStagePartial(8, 3, 5, nn.Identity(), 5, fusion="first", split="slice")
    base = torch.randn(2, 8, 4, 6)
    assert_close(csp(base), torch.cat([base[:, 3:], base[:, :3]], dim=1), rtol=0, atol=0)
    with pytest.raises(ValueError, match="cannot slice 8 channels in 4 \\+ 5"):
        CrossStagePartial(8, 4, 5, nn.Identity(), 5, split="slice")


def test_bypass_does_not_see_the_blocks():
    csp, base = stage(), torch.randn(1, 8, 4, 4)
    bypass = csp(base)[:, 7:]
    nn.init.normal_(csp.blocks.weight)
    assert_close(csp(base)[:, 7:], bypass, rtol=0, atol=0)


def test_unknown_fusion_is_refused():
    with pytest.raises(ValueError, match="unknown fusion 'middle'; known: both, first, last"):
        stage("middle")
