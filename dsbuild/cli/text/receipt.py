"""The receipt of an export, as text."""

from dsbuild.cli.text.table import table
from dsbuild.inspect.tables import count, share
from dsbuild.interop.annotations.loss import FACTS, REASONS, Tally
from dsbuild.interop.annotations.receipt import RECEIPT, Receipt
from dsbuild.storage import safe_text

_MOST = 20  # classes that are listed


def receipt_text(receipt: Receipt, out: str) -> str:
    """Return what an export wrote, what its layout read back, and which classes changed."""
    loss, total = receipt.loss, receipt.loss.total
    images = loss.images + receipt.unread
    kept = f"; {count(receipt.kept, 'unchanged shard')} kept" if receipt.kept else ""
    others = receipt.about.others
    left = f"; not exported: {', '.join(others)}" if others else ""
    lines = [
        f"{safe_text.text(out)}: {count(images, 'image')} of {', '.join(receipt.about.splits)} "
        f"({receipt.target}){kept}{left}",
        f"read back by layout {receipt.layout}: {count(loss.changed, 'label')} changed, "
        f"{total.lost:,} of {total.pixels:,} pixels ({share(total.lost, total.pixels)}), "
        f"{total.objects_changed:,} of {count(total.objects, 'object')}",
    ]
    lines += [f"  {loss.reasons[name]:,} pixels: {REASONS[name]}" for name in loss.reasons]
    lines += [f"  {number:,} {FACTS[name]}" for name, number in receipt.facts.items()]
    changed = {
        value: tally
        for value, tally in loss.classes.items()
        if (tally.lost or tally.gained) and value in receipt.about.values
    }
    if changed:
        lines += ["", *_classes(receipt, changed)]
    return "\n".join([*lines, "", f"receipt: {safe_text.text(out)}/{RECEIPT}"])


def _classes(receipt: Receipt, changed: dict[int, Tally]) -> list[str]:
    ranked = sorted(changed, key=lambda value: -changed[value].lost - changed[value].gained)
    rows = [["class", "pixels", "lost", "gained", "objects", "changed", "images changed"]]
    for value in ranked[:_MOST]:
        one = changed[value]
        numbers = (one.pixels, one.lost, one.gained, one.objects, one.objects_changed)
        rows.append(
            [
                safe_text.text(receipt.name(value)),
                *(f"{number:,}" for number in numbers),
                f"{one.images_changed:,}",
            ]
        )
    more = len(ranked) - _MOST
    return [*table(rows, "<>>>>>>"), *([f"… and {count(more, 'class')} more"] if more > 0 else [])]


def renamed(receipt: Receipt) -> list[str]:
    """Return notes on what is called otherwise in the target, and what its objects are."""
    about, found = receipt.about, list[str]()
    classes = [f"{about.classes[i]} as {name}" for i, name in receipt.names.items()]
    if classes:
        found.append(f"the layout reads the class {', '.join(classes[:3])}")
    splits = [f"{name} as {other}" for name, other in receipt.splits.items() if name != other]
    if splits:
        found.append(f"the layout reads the split {', '.join(splits)}")
    if receipt.loss.renamed:
        key, name = receipt.loss.names[0]
        text = f"{count(receipt.loss.renamed, 'key')} changed, such as {key!r} to {name!r}"
        found.append(f"{text}: file names cannot hold all keys")
    if receipt.options.get("objects") == "components" and not about.counted:
        found.append(
            "objects are connected components of a class; records hold no instances, so what the "
            "source had as several objects may be one, or the other way round"
        )
    if receipt.instances == "lost":
        found.append(
            "objects of a class that touch are not told apart any more; coco, coco-panoptic, yolo, "
            "labelme and cvat keep them"
        )
    if about.depth > 8:
        found.append(
            f"images keep {about.depth} bits per channel, of which many tools read only the upper "
            "8, which may be nearly black; for 8 bits build with --scale LOW:HIGH"
        )
    if receipt.unread:
        found.append(f"{count(receipt.unread, 'image')} without a label were not read back")
    return found


def problems(receipt: Receipt, out: str, most: float | None) -> list[str]:
    """Return why an export is not as it should be."""
    loss, found = receipt.loss, list[str]()
    lost = loss.images - loss.read
    if lost:
        found.append(f"{out}: {count(lost, 'image')} of {loss.images:,} were not found again")
    if loss.altered:
        found.append(f"{out}: {count(loss.altered, 'image')} have other bytes than was written")
    if most is not None and loss.share > most:
        worst = max(
            loss.classes,
            key=lambda v: (
                loss.classes[v].lost / loss.classes[v].pixels if loss.classes[v].pixels else 0
            ),
        )
        tally = loss.classes[worst]
        found.append(
            f"{out}: {receipt.name(worst)} lost {tally.lost:,} of {tally.pixels:,} pixels "
            f"({tally.lost / tally.pixels:.2%}), more than --max-loss {100 * most:g}% allows"
        )
    return found
