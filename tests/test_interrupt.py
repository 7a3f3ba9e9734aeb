"""Signals that ask to stop come between two steps, with the status that says which it was."""

import os
import pty
import signal
import subprocess
import sys
import threading

import pytest

from detect.interrupt import STOPS, held, let_through, status_of, stop_interrupts


@pytest.fixture(autouse=True)
def handlers_come_back():
    before = [signal.getsignal(number) for number in STOPS]
    yield
    assert [signal.getsignal(number) for number in STOPS] == before


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_each_signal_interrupts_and_has_its_status(number, status):
    with pytest.raises(KeyboardInterrupt) as caught, stop_interrupts():
        signal.raise_signal(number)
    assert status_of(caught.value) == status


def test_ctrl_c_outside_a_block_has_its_status():
    with pytest.raises(KeyboardInterrupt) as caught:
        signal.raise_signal(signal.SIGINT)
    assert status_of(caught.value) == 130


@pytest.mark.parametrize("number", STOPS)
def test_a_held_signal_comes_at_the_end_of_the_block(number):
    done = []
    with pytest.raises(KeyboardInterrupt) as caught, stop_interrupts(), held() as came:
        signal.raise_signal(number)
        done.append(list(came))
    assert done == [[number]] and caught.value.args == (number,)


def test_a_held_signal_is_let_through_where_one_only_waits():
    let_through()
    with pytest.raises(KeyboardInterrupt) as caught, held():
        let_through()
        signal.raise_signal(signal.SIGTERM)
        with held():
            let_through()  # that block has none
        let_through()
        pytest.fail("it was not let through")
    assert caught.value.args == (signal.SIGTERM,)
    let_through()


def test_a_second_ctrl_c_interrupts_a_held_block():
    with pytest.raises(KeyboardInterrupt), held():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("the second Ctrl-C did nothing")


def test_a_signal_that_is_sent_twice_counts_once():
    done = []
    with pytest.raises(KeyboardInterrupt), stop_interrupts():
        try:
            signal.raise_signal(signal.SIGHUP)
        finally:
            signal.raise_signal(signal.SIGHUP)  # a terminal that closes
            signal.raise_signal(signal.SIGTERM)
            done.append("files finished")
    assert done == ["files finished"]


def test_an_answered_signal_is_not_delivered_again():
    with stop_interrupts(), pytest.raises(ValueError, match="stopped"), held() as came:
        signal.raise_signal(signal.SIGTERM)
        if came:
            raise ValueError("stopped")


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
    try:
        with stop_interrupts(), held() as came:
            signal.raise_signal(signal.SIGHUP)
        assert not came
    finally:
        signal.signal(signal.SIGHUP, before)


def test_other_threads_hold_nothing():
    came = []

    def work():
        with stop_interrupts(), held() as stops:
            came.append(stops)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert came == [[]]


def test_a_terminal_that_closes_does_not_break_the_finishing(tmp_path):
    code = """
        import sys, time
        from detect.interrupt import status_of, stop_interrupts
        try:
            with stop_interrupts():
                print("started", flush=True)
                time.sleep(30)
        except KeyboardInterrupt as interrupt:
            print("said to nobody", flush=True)
            open(sys.argv[1], "w").write(str(status_of(interrupt)))
    """
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", "\n".join(line[8:] for line in code.split("\n")), str(tmp_path / "status")]
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, preexec_fn=lambda: _control(theirs), cwd=os.getcwd()
    )
    os.close(theirs)
    assert os.read(ours, 100).startswith(b"started")
    os.close(ours)
    assert process.wait(10) == 0 and (tmp_path / "status").read_text() == "129"


def _control(terminal):
    """Make `terminal` the one of a new session, which a shell does."""
    import fcntl
    import termios

    os.setsid()
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
