"""Settings that must be in place before NumPy or torch are imported, and what several test modules share."""

import os
import sysconfig
from pathlib import Path

# The thread pools of NumPy and torch fight over the cores.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

# nbgrader starts programs of its environment, which need not be activated.
os.environ["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])

ROOT = Path(__file__).resolve().parent.parent
_BESIDE = ROOT.parent / "shared" / "data"
if _BESIDE.is_dir():
    os.environ.setdefault("DLCOURSE_DATA", str(_BESIDE))
