import pytest

from xdistill_encoder.hosts.needs import require_host


def test_a_host_that_is_missing_or_untried_is_told_with_what_to_install():
    with pytest.raises(ImportError, match=r"needs no-such-host, .*pip install 'xdistill-encoder\[nothing\]'"):
        require_host("no-such-host", "1", "2", "nothing")
    with pytest.raises(
        ImportError, match=r"tried with torch from 900.1 up to, without, 901; installed is .*torch>=900.1"
    ):
        require_host("torch", "900.1", "901")
    require_host("torch", "2.6", "900")
