"""OpenVINO itself, once per process."""

from __future__ import annotations

from functools import cache

import openvino as ov


@cache
def core() -> ov.Core:
    """The one core that all graphs of this process are read and compiled by; it is never let go.

    OpenVINO's CPU plugin brings a stack for signal handlers, and puts back the former one when the last graph of its
    core is gone. With two cores the former may be another core's that is gone already: the next signal, a Ctrl-C say,
    then ends the process with a segmentation fault.
    """
    return ov.Core()
