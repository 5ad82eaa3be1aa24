import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys, torch
from xdistill_encoder.freed_memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
for step in range(20):
    if step == 10:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    (torch.zeros(10_000_000) + 1).sum()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")
def test_steps_after_the_first_map_no_memory_anew():
    def faults(how: str) -> int:
        return int(subprocess.run([sys.executable, "-c", FAULTS, how], check=True, capture_output=True).stdout)

    # 10 steps of 2 x 40 MB are 200,000 pages of 4 kB; a kernel that takes idle pages away gives some back by faults too
    assert 10 * faults("keep") < faults("leave")
