import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from distillation.interrupts import StopRequest, leave_signals_to_the_main_process

ROOT = Path(__file__).parents[2]


def test_a_signal_asks_and_a_second_interrupt_interrupts(capfd):
    with StopRequest() as stop:
        assert not stop.agreed()
        signal.raise_signal(signal.SIGINT)
        assert stop.agreed()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(SystemExit) as left:
            stop.leave("saved")
    assert left.value.code == 128 + signal.SIGINT
    assert capfd.readouterr().out == "SIGINT: saved\n"
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def work(started):
    leave_signals_to_the_main_process(0)
    started.set()
    time.sleep(60)


@pytest.mark.parametrize(("method", "end"), [("fork", signal.SIGTERM), ("spawn", signal.SIGKILL)])
def test_a_worker_outlives_what_a_terminal_or_a_scheduler_sends_and_a_forked_one_ends_when_its_parent_asks(method, end):
    context = multiprocessing.get_context(method)
    started = context.Event()
    worker = context.Process(target=work, args=(started,), daemon=True)
    worker.start()
    assert started.wait(60)
    assert worker.pid
    for name in ("INT", "TERM", "INT", "TERM"):
        subprocess.run(["kill", f"-{name}", str(worker.pid)], check=True)
        time.sleep(0.1)
    assert worker.is_alive()
    os.kill(worker.pid, end)
    worker.join(10)
    assert worker.exitcode == (0 if end == signal.SIGTERM else -end)


def test_a_worker_ends_when_its_parent_is_gone():
    program = """
import os, signal, time
from distillation.interrupts import leave_signals_to_the_main_process
if os.fork() == 0:
    leave_signals_to_the_main_process(0)
    os.kill(os.getpid(), signal.SIGTERM)
    print("at work", flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    assert parent.stdout.readline() == "at work\n"
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate(timeout=20)  # ends when the worker, who holds the pipe too, is gone
