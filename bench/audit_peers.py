"""Find label errors in the same confidences with dsbuild or with cleanlab, in a process alone.

    python bench/audit_peers.py dsbuild FOLDER
    python bench/audit_peers.py cleanlab FOLDER

FOLDER is that of bench/audit.py. Prints seconds and the peak memory as JSON, and writes what was
found into FOLDER/<name>.npz: for cleanlab the pixels with issues and two scores of each image.
"""

import json
import os
import sys
import time


def memory() -> float:
    """Return the peak memory of this process in MB."""
    with open("/proc/self/status") as file:  # ru_maxrss may be that of the parent process
        (line,) = (line for line in file if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6


def dsbuild(folder: str) -> dict[str, float]:
    """Rank the regions in the confidences of an audit, read twice."""
    from dsbuild.train.audit import planes
    from dsbuild.train.audit.ranking import ranked
    from dsbuild.train.audit.suspects import confidences
    from dsbuild.train.audit.thresholds import Thresholds

    begun, before, out = time.monotonic(), memory(), os.path.join(folder, "audit")
    with open(os.path.join(out, "audit.json")) as file:
        report = json.load(file)
    names = [one["name"] for one in report["classes"]]

    def records():
        for fold in range(report["folds"]):
            yield from ((fold, one) for one in planes.read(confidences(out, fold)))

    limits = Thresholds.over((one for _, one in records()), len(names)).limits
    suspects, _ = ranked(records(), limits, names, 1000)
    with open(os.path.join(out, "suspects.jsonl")) as file:
        listed = [json.loads(line) for line in file]
    same = [(one.key, one.score) for one in suspects]
    assert same == [(one["key"], one["score"]) for one in listed], "the audit found others"
    return {"seconds": time.monotonic() - begun, "imports": before, "peak": memory()}


def cleanlab(folder: str) -> dict[str, float]:
    """Find issues as cleanlab's tutorial does, with probabilities that are mapped from a file."""
    import numpy as np
    from cleanlab.segmentation.filter import find_label_issues
    from cleanlab.segmentation.rank import get_label_quality_scores

    begun, before = time.monotonic(), memory()
    shares = np.load(os.path.join(folder, "shares.npy"), mmap_mode="r")
    labels = np.load(os.path.join(folder, "labels.npy"))
    issues = find_label_issues(labels, shares, n_jobs=1, verbose=False)
    seconds, peak = time.monotonic() - begun, memory()
    softmin, _ = get_label_quality_scores(labels, shares, verbose=False)
    counts = issues.mean((1, 2))
    np.savez_compressed(
        os.path.join(folder, "cleanlab.npz"), issues=issues, softmin=softmin, issue_share=counts
    )
    return {"seconds": seconds, "imports": before, "peak": peak}


if __name__ == "__main__":
    print(json.dumps({"dsbuild": dsbuild, "cleanlab": cleanlab}[sys.argv[1]](sys.argv[2])))
