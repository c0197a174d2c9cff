"""What has to hold of a command that ended; each function returns what does not."""

from tests.support.store_faults.scene import settled, shards
from tests.support.stores import SECRET


def ended(done, codes=(0, 1, 2)):
    """Of any command: it ends, without a traceback, a secret, or a process that outlives it."""
    said = done.err + done.out
    if done.code is None:
        return [f"did not end within {done.seconds:.0f} s"]
    wrong = {
        "a traceback": "Traceback" in said,
        "a secret is shown": SECRET in said or "Signature=" in said,
        f"exit {done.code}: {done.err.strip()[-300:]}": done.code not in codes,
        f"{done.strays} processes outlived it": done.strays,
    }
    return [one for one, holds in wrong.items() if holds]


def refused(done):
    """Judge a command that refused: one line says why, and no sound file is called damaged."""
    lines = [*done.err.splitlines(), *done.out.splitlines()]
    errors = [line for line in lines if line.startswith("error: ")]
    wrong = [f"{len(errors)} lines of error"] * (len(errors) != 1)
    if any("problem" in line for line in lines) and not errors:
        wrong.append("it finds problems in a folder that is whole")
    if any("damaged" in line or "dsbuild repair" in line for line in errors):
        wrong.append("it calls damaged what is whole")
    if any("--on-error skip" in line for line in errors):
        wrong.append("it advises to leave out samples that are good")
    return wrong


def succeeded(case, done, found, out):
    """Judge a command that had to succeed: the bytes are a local build's, and no lock is left."""
    if done.code != 0:
        return ended(done, codes=(0,))
    wrong = []
    if case.said is not None and done.out.replace(out, "OUT") != case.said:
        wrong.append(f"it says {done.out[:300]!r} for {case.said[:300]!r}")
    spared = case.spares and "note: " in done.err and settled(found) == settled(case.before)
    if not spared:
        wrong += differences(settled(found), settled(case.expected))
    return wrong + [f"a lock is left: {name}" for name in found if name.endswith("/lock")]


def standing(case, found):
    """Of the folder of a command that did not do its work: no manifest says that it did.

    It has none, or is as it was, or is whole; of one that is changed in place each file is the
    old one or the new one.
    """
    was, has, ends = settled(case.before), settled(found), settled(case.expected)
    if "manifest.json" not in has or has in (was, ends):
        return []
    odd = [name for name, data in has.items() if data not in (was.get(name), ends.get(name))]
    wrong = [f"neither old nor new: {name}" for name in odd]
    mends = was.get("manifest.json") == ends["manifest.json"]
    whole = has["manifest.json"] == ends["manifest.json"] and shards(has) == shards(ends)
    if not mends and shards(was) != shards(ends) and not whole:
        wrong.append("a manifest over an unfinished folder")
    return wrong


def differences(found, expected):
    """Of files: they are those that are expected."""
    names = sorted(n for n in {*found, *expected} if found.get(n) != expected.get(n))
    return [f"other files than expected: {', '.join(names)[:200]}"] if names else []
