"""A model as Darknet's files: .weights with the .cfg and .names beside it."""

from pathlib import Path

from detect.config.darknet import net_options, yolo_options
from detect.config.schema import DarknetModelSettings
from detect.darknet import weights as weights_file
from detect.darknet.network import DarknetNetwork
from detect.darknet.writer import cfg_of, filled
from detect.errors import UserError
from detect.exporters.formats import Request, export_format
from detect.files import printable, write_text
from detect.weights.files import Weights


@export_format("darknet", ".weights")
def write_darknet(path: Path, weights: Weights, request: Request) -> list[Path]:
    """Write `weights` as `path` (.weights), with the .cfg and .names beside it.  Returns the three paths.

    A model that was read from a .cfg is written as it was read. Ours are trained on letterboxed images, which their
    [net] says (`letter_box=1`).

    Raises:
        UserError: the model has a part that Darknet has no layer for, a file cannot be written, or another .cfg or
            .names of that name is there already.
    """
    text, network, header = _darknet_form(weights)
    names = "".join(f"{printable(n).strip() or f'class {i}'}\n" for i, n in enumerate(weights.names))
    beside = {path.with_suffix(".cfg"): text, path.with_suffix(".names"): names}
    for file, content in beside.items():
        if file.is_file() and file.read_bytes().split() != content.encode().split():
            raise UserError(f"{file}: is there already and holds something else; give the .weights another name")
    weights_file.write(path, network, header)
    for file, content in beside.items():
        write_text(file, content)
    return [path, *beside]


def _darknet_form(weights: Weights) -> tuple[str, DarknetNetwork, weights_file.Header | None]:
    """The text of the .cfg, the network with the numbers, and the header of the .weights."""
    settings, network = weights.settings, weights.network
    if isinstance(settings.model, DarknetModelSettings):
        return "\n".join(settings.model.cfg) + "\n", network, weights_file.Header.checked(settings.model.header)
    text, nodes = cfg_of(network, settings.input.size, net_options(settings), yolo_options(settings))
    return text, filled(text, nodes), None
