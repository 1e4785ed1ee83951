"""How often a process looks for garbage."""

import gc
import subprocess
import sys

LOOKS = """
import gc
from workers.process import limits
looks = []
limits.collect_seldom()
gc.callbacks.append(lambda phase, _: looks.append(phase == "start"))
kept = [(number,) for number in range(100_000)]
print(sum(looks), gc.get_freeze_count() > 1000)
"""


def test_a_page_of_small_objects_is_looked_through_a_few_times_at_most() -> None:
    said = subprocess.run([sys.executable, "-c", LOOKS], capture_output=True, text=True, check=True).stdout
    looks, frozen = said.split()
    assert int(looks) <= 100_000 // 20_000 and frozen == "True"
    assert gc.get_threshold()[0] < 20_000, "of a process of the service alone"
