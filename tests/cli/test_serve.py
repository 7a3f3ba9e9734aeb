"""`detect serve` as it is started and stopped."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest
from command_line import detect
from small_nets import conv, make, net, yolo

ROOT = Path(__file__).parents[2]
TEXT = net() + conv(filters=8, size=1) + yolo(mask="0", classes=3)


def test_an_address_for_others_wants_a_token():
    ran = detect("serve", "--host", "0.0.0.0")
    assert ran.status == 1 and "others can reach this address" in ran.err and ran.err.startswith("error: --host")
    ran = detect("serve", "--token", "short")
    assert ran.status == 1 and "at least 16 letters" in ran.err


def test_a_source_that_is_not_there_is_one_sentence(tmp_path):
    ran = detect("serve", "--port", 0, "--source", tmp_path / "none.mp4")
    assert ran.status == 1 and "none.mp4" in ran.err and ran.err.count("\n") == 1


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_answers_until_a_signal_and_ends_at_once(tmp_path, number, status):
    cfg, weights = make(tmp_path, TEXT)
    command = [sys.executable, "tools/serve.py", "--weights", weights, "--cfg", cfg, "--port", "0", "--threads", "1"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        address = re.search(r"http://\S+/", process.stdout.readline())[0]
        assert json.load(urlopen(f"{address}health")) == {"status": "ok", "source": "none"}
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == status, errors
        assert errors.endswith("interrupted\n")
