"""One fresh process for `benchmarks.opening`: import, open, search. Prints seconds of each as JSON.

    python benchmarks/open_once.py STARTED INDEX QUERIES.npy PLAN

Run as a file, with nothing imported before the clock is read but what Python itself needs. STARTED is
`time.time()` of the process that started this one.
"""

import sys
import time

begun = time.time()
started = time.perf_counter()
import kukla  # noqa: E402

imported = time.perf_counter()
import json  # noqa: E402

import numpy as np  # noqa: E402  (kukla has it already)


def main(start: float, path: str, queries_path: str, plan: str) -> None:
    """Time the opening, the first search, the second, and the median of the rest."""
    queries = np.load(queries_path)
    opening = time.perf_counter()
    index = kukla.Index.open(path, read_only=True)
    opened = time.perf_counter()
    seconds = []
    for query in queries:
        before = time.perf_counter()
        index.search(query, 10, plan=plan)
        seconds.append(time.perf_counter() - before)
    result = {
        "python": begun - start,
        "imports": imported - started,
        "open": opened - opening,
        "first": seconds[0],
        "second": seconds[1],
        "later": float(np.median(seconds[2:])),
        "documents": len(index),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(float(sys.argv[1]), *sys.argv[2:5])
