import signal

import pytest

from distillation.interrupts import StopRequest


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
