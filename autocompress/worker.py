"""The child's side of the pipe: one job, its messages, and the end of the process."""

from __future__ import annotations

import errno
import os
import resource
import signal
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from pathlib import Path

from autocompress.errors import AutocompressError, StageTimedOut, Unsupported
from autocompress.jobs import Answer, Failed, Held, Message, job_adapter, word_adapter
from autocompress.memory_signs import is_of_a_device, tells_lack_of_memory
from autocompress.records import TrialError
from autocompress.stages import Stages


def work(connection: Connection, job_json: bytes, log: str, memory_bytes: int | None) -> None:
    """Do one job in a session of its own, and send progress and the answer as JSON.

    Args:
        connection: the pipe; when its other end closes the parent is gone, and this process ends with its children.
        job_json: a `Job`.
        log: file that takes what libraries print.
        memory_bytes: limit of the process's private memory.
    """
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _redirect_output(Path(log))
    quiet = threading.Event()

    def send(message: Message) -> None:
        connection.send_bytes(message.model_dump_json().encode())

    def wait_for_quiet() -> None:
        quiet.wait()
        quiet.clear()

    stages = Stages(send, wait_for_quiet)
    threading.Thread(target=_listen, args=(connection, stages, quiet), daemon=True).start()
    if memory_bytes is not None:  # after the thread has its stack: one that cannot start would be waited for for ever
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    send(_answer(job_json, stages))
    connection.close()
    # What libraries leave behind at exit (thread pools, caches) may hang or crash; the answer is out, so leave at once.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _answer(job_json: bytes, stages: Stages) -> Answer:
    """The job's result; whatever is raised becomes a labelled failure, and its traceback goes to the log."""
    from autocompress.trial import run_job

    try:
        return run_job(job_adapter.validate_json(job_json), stages)
    except Exception as problem:  # noqa: BLE001 - the last frame of the process: nothing may escape unlabelled
        traceback.print_exc()
        return _failure(problem, stages)


def _failure(problem: Exception, stages: Stages) -> Failed:
    message = str(problem).strip() or type(problem).__name__
    remedy, exit_code = None, 3
    status: str = "failed"
    if _is_out_of_memory(problem):
        status = "out_of_memory"
        message = "the trial needed more memory than it may use"
        remedy = "Raise --trial-memory, or use a machine with more."
        if is_of_a_device(str(problem)):
            message = "the trial needed more memory than the device has free"
            remedy = "End what else uses the device, or use one with more memory."
    elif isinstance(problem, AutocompressError):
        message = f"{problem.where}: {problem.what}" if problem.where else problem.what
        remedy, exit_code = problem.remedy, problem.exit_code
        if isinstance(problem, Unsupported):
            status = "unsupported"
        elif isinstance(problem, StageTimedOut):
            status = "timed_out"
    elif _is_disk_full(problem):
        message = f"the disk is full while writing {getattr(problem, 'filename', None) or 'a file'}"
        remedy = "Free disk space and resume."
    else:
        first_line = message.splitlines()[0]
        message = f"{type(problem).__name__}: {first_line}"
        remedy = "The whole traceback is in the trial's log."
    return Failed.model_validate(
        {
            "status": status,
            "error": TrialError(message=message, remedy=remedy, stage=stages.current or None),
            "exit_code": exit_code,
            "stages": stages.finished,
        }
    )


def _is_out_of_memory(problem: BaseException | None) -> bool:
    """Whether this, or what caused it, is a lack of memory."""
    while problem is not None:
        if isinstance(problem, MemoryError) or tells_lack_of_memory(str(problem)):
            return True
        problem = problem.__cause__
    return False


def _is_disk_full(problem: Exception) -> bool:
    """Also where a library tells it in words of its own, as safetensors does."""
    return getattr(problem, "errno", None) == errno.ENOSPC or os.strerror(errno.ENOSPC) in str(problem)


def _redirect_output(log: Path) -> None:
    """Send this process's stdout and stderr, native libraries' included, to the log."""
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    except OSError:  # a full disk must not keep the job from saying so over the pipe
        target = os.open(os.devnull, os.O_WRONLY)
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(target)


def _listen(connection: Connection, stages: Stages, quiet: threading.Event) -> None:
    """Take what the parent says; when its end of the pipe closes, end this process group at once."""
    try:
        while True:
            word = word_adapter.validate_json(connection.recv_bytes())
            if isinstance(word, Held):
                stages.held_seconds += word.seconds
            else:
                quiet.set()
    except (EOFError, OSError):
        os.killpg(0, signal.SIGKILL)
