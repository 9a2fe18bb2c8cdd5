"""The soak in small numbers: what `make soak` repeats at full size."""

import re
import subprocess
import sys
from pathlib import Path

SOAK = Path(__file__).parents[1] / "benchmarks" / "soak.py"


def test_kills_damaged_files_many_fits_threads_workers_and_full_disks_do_no_harm():
    done = subprocess.run(
        [sys.executable, str(SOAK), "--short"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    counts = re.search(r"'files': (\d+), 'refused': (\d+), 'right': (\d+)", done.stdout)
    files, refused, right = map(int, counts.groups())
    assert files == refused + right == 13 * 10
    assert min(refused, right) > 0
    assert "0 parts came out wrong" in done.stdout
