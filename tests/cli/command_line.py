"""The command line run in the process of the test."""

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from types import SimpleNamespace

from detect.cli.main import main


def detect(*arguments):
    """Run the command line in this process -> its status, output and errors."""
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        status = main([str(argument) for argument in arguments])
    return SimpleNamespace(status=status, out=out.getvalue(), err=err.getvalue())


def answer(*arguments):
    """What `--json` answers: standard output is one line, a JSON object, and nothing else."""
    ran = detect(*arguments, "--json")
    assert ran.status == 0, ran.err
    assert ran.out.count("\n") == 1 and ran.out.endswith("\n")
    content = json.loads(ran.out)
    assert isinstance(content, dict)
    return content
