"""Does one job of a search in this process and writes the answer down: a trial of the loop in `search_real.py`.

Run: python benchmarks/one_job.py JOB.json ANSWER.json
"""

from __future__ import annotations

import sys
from pathlib import Path

from autocompress.jobs import job_adapter
from autocompress.stages import Stages
from autocompress.trial import run_job


def main() -> None:
    """A failure ends the process with its traceback."""
    job, answer = map(Path, sys.argv[1:])
    result = run_job(job_adapter.validate_json(job.read_text(encoding="utf-8")), Stages(lambda _: None))
    answer.write_text(result.model_dump_json(), encoding="utf-8")


if __name__ == "__main__":
    main()
