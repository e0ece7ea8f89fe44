"""Run the cases of a study that are not done yet, one after another or a few at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from cimc.study.case_process import KILLED, measure, stop_all
from cimc.study.cases import Case
from cimc.study.results import Row, Store

Progress = Callable[[int, int, str], None]
"""(cases done, cases in all, the case under way)."""


def run(cases: Sequence[Case], store: Store, progress: Progress, jobs: int = 1) -> list[Row]:
    """The rows of ``cases``, in their order; those that ``store`` has already are not run again.

    Cases run in processes of their own, ``jobs`` at a time: with more than one, they slow each other down,
    which the columns of compile times show.  A case whose process is killed has an ``error``, and is run
    again next time.  Interrupted, all processes are ended; what is done stays in the store.

    Raises:
        CimcError: ``io.cannot-write``.
        RuntimeError: when a case ended in a bug, after all others are done and in the store.
    """
    keys = [case.key for case in cases]
    killed: dict[str, Row] = {}
    open_ = [(key, case) for key, case in zip(keys, cases, strict=True) if key not in store.rows]
    done = len(cases) - len(open_)
    bug: RuntimeError | None = None
    with ThreadPoolExecutor(max(1, jobs)) as pool:
        waiting: dict[Future[Row], tuple[str, Case]] = {}
        try:
            while open_ or waiting:
                while open_ and len(waiting) < max(1, jobs):
                    key, case = open_.pop(0)
                    progress(done, len(cases), case.label)
                    waiting[pool.submit(measure, case)] = (key, case)
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    key, case = waiting.pop(future)
                    try:
                        row = future.result()
                    except RuntimeError as error:
                        bug = bug or error
                        continue
                    if str(row.get("error", "")).startswith(KILLED):
                        killed[key] = row
                    else:
                        store.add(key, row)
                    done += 1
                    progress(done, len(cases), case.label)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            stop_all()
            raise
    if bug is not None:
        raise bug
    return [killed[key] if key in killed else store.rows[key] for key in keys]
