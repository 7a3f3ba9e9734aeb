"""One process of a training, as torchrun starts it, in which something may happen in the middle of a step.

    python -m tests.engine.distributed_worker EVENT RANK STEP ARGUMENTS-OF-detect

EVENT: kill, interrupt, image (one cannot be read) or none.
"""

import os
import signal
import sys

from detect.cli.main import main
from detect.engine import learner
from detect.errors import UserError


def happens(event: str, rank: int, step: int) -> None:
    """Make `event` happen in process `rank` after the forward pass of step `step`."""
    whole, losses = learner.Learner.step, learner.Learner.losses
    here = {"step": 0}

    def counted(self, number, lr, parts):
        here["step"] = number
        return whole(self, number, lr, parts)

    def interrupted(self, batch, exactly=False, network=None):
        terms = losses(self, batch, exactly, network)
        if here["step"] == step and self.world.shard.rank == rank:
            if event == "image":
                raise UserError("images/7.png: cannot be read")
            os.kill(os.getpid(), signal.SIGKILL if event == "kill" else signal.SIGINT)
        return terms

    learner.Learner.step, learner.Learner.losses = counted, interrupted


if __name__ == "__main__":
    event, rank, step, *arguments = sys.argv[1:]
    if event != "none":
        happens(event, int(rank), int(step))
    sys.exit(main(arguments))
