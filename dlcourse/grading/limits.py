"""What a submission may use, and the names of the verdicts when it uses more."""

from __future__ import annotations

from dataclasses import dataclass

TIME, MEMORY, OUTPUT, PROCESSES, CRASHED = (
    "time limit",
    "memory limit",
    "output limit",
    "process limit",
    "crashed",
)
MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Bounds for one submission, enforced from outside its sandbox.

    Attributes
    ----------
    cell_seconds : wall time of one cell of the student's, and of trying one exercise.
    cpu_seconds : processor time of the same, all processes together; it does not depend on how busy the machine is.
    total_seconds : wall time of the whole submission.
    start_seconds : wall time until the kernel answers.
    memory : bytes of resident memory, all processes together.
    processes : how many at once (the kernel's own three included).
    output_bytes, output_messages : of one cell.
    device_memory : bytes on the GPU, all processes together, where an exercise asks for one.
    disk : bytes of the private /tmp, and of anything else that can be written.
    notebook_bytes : a larger file is refused unread.
    """

    cell_seconds: float = 60.0
    cpu_seconds: float = 30.0
    total_seconds: float = 300.0
    start_seconds: float = 60.0
    memory: int = 3072 * MIB
    processes: int = 64
    output_bytes: int = MIB
    output_messages: int = 2000
    device_memory: int = 8192 * MIB
    disk: int = 256 * MIB
    notebook_bytes: int = 20_000_000
