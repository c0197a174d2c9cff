"""Every code block of every page runs, in order, from an empty folder."""

import contextlib
import json
import re

import pytest
import yaml

from tests.support import gcs, stores
from tests.support.blocks import NEEDS, ROOT, Block, Session, blocks
from tests.support.clusters import Cluster

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES.remove(ROOT / "docs" / "cli.md")  # a copy of --help
KINDS = {"sh", "python", "yaml", "json", "text", ""}  # the last two are not code
SAMPLES = 14  # that a page draws, since its own number takes long; fewer mattes leave val empty
LEFT_OUT = 6  # at most so many blocks need what is on no machine of ours
HEAVY = re.compile(
    r"dsbuild (train|export|audit)|import (tensorflow|torch|keras|datasets|grain)|tf_data"
)
# Pages that take long: they start many processes, or several that import TensorFlow. What they
# call is tested elsewhere, too.
LONG = {
    "array-jobs.md",
    "classes.md",
    "clusters.md",
    "extras.md",
    "merge.md",
    "object-stores.md",
    "output.md",
    "panoptic.md",
    "tensorflow.md",
    "training-recipes.md",
}


def all_blocks():
    return [(page, block) for page in PAGES for block in blocks(page)]


def marked():
    """Return the pages; those that import TensorFlow or torch are heavy, long ones are slow."""
    found = []
    for page in PAGES:
        code = "".join(block.text for block in blocks(page))
        marks = [pytest.mark.heavy] if HEAVY.search(code) else []
        trains = len(re.findall("dsbuild (?:train|export|audit)", code))
        if trains > 1 or page.name in LONG:
            marks.append(pytest.mark.slow)
        found.append(pytest.param(page, marks=marks, id=page.name))
    return found


@contextlib.contextmanager
def buckets():
    """Buckets named as in the pages, on servers of this machine; yield what a user exports."""
    with contextlib.ExitStack() as stack:
        s3 = stack.enter_context(gcs.serving(stores.moto())).server_port
        google = stack.enter_context(gcs.serving(gcs.gcs("bucket"))).server_port
        azure = stack.enter_context(gcs.serving(stores.azure())).server_port
        stores.s3_bucket(s3, "bucket")
        yield {
            **stores.s3_environment(s3),
            **stores.azure_environment(azure),
            "STORAGE_EMULATOR_HOST": f"127.0.0.1:{google}",
        }


@contextlib.contextmanager
def cluster(folder):
    """Run a Dask cluster of two workers; yield its address."""
    folder.mkdir()
    one = Cluster(folder)
    try:
        one.start(2)
        yield one.address
    finally:
        one.close()


@pytest.mark.parametrize("page", marked())
def test_every_block_runs(page, tmp_path):
    text = page.read_text()
    folder = tmp_path / "fresh"
    folder.mkdir()
    with contextlib.ExitStack() as stack:
        exported, changed = {}, {}
        if "s3://bucket" in text:
            exported = stack.enter_context(buckets())
        if "tcp://head:8786" in text:
            changed = {"tcp://head:8786": stack.enter_context(cluster(tmp_path / "cluster"))}
        session = Session(folder, exported)
        stack.callback(session.close)
        for block in blocks(page):
            if block.kind in ("sh", "python") and block.runs:
                session.run(Block(block.kind, shortened(block.text, changed), block.line, ""))


def shortened(text, changed):
    """Return a block that draws few samples and trains for two steps, with our addresses."""
    for before, after in changed.items():
        text = text.replace(before, after)
    text = re.sub(r"^(dsbuild demo [a-z][^#\n]*)", _few, text, flags=re.M)
    return re.sub(r"--(steps|every) [1-9]\d*", r"--\1 2", text)


def _few(match):
    line = match[1]
    return line if "--samples" in line else f"{line} --samples {SAMPLES} "


def test_long_pages_exist():
    assert {page.name for page in PAGES} >= LONG


def test_all_code_is_of_a_kind_that_is_tested():
    for page, block in all_blocks():
        place = f"{page.name}:{block.line}"
        assert block.kind in KINDS, place
        if block.kind in ("", "text"):
            assert not re.match(r"(\$ )?(dsbuild|pip|python|import|from) ", block.text), place
        if block.kind == "json":
            json.loads(block.text)
        if block.kind == "yaml":
            assert yaml.safe_load(block.text), place


def test_few_blocks_need_what_is_not_here():
    needs = [block.needs for _, block in all_blocks() if block.needs]
    assert {*needs} <= {*NEEDS}
    assert sum(not NEEDS[one]() for one in needs if one not in ("beam", "torchvision")) <= LEFT_OUT


def test_no_block_hides_its_end():
    """A fence that the tests do not see would not be run."""
    for page in PAGES:
        fences = sum(line.lstrip().startswith("```") for line in page.read_text().splitlines())
        assert fences == 2 * len(blocks(page)), page.name


@pytest.fixture
def session(tmp_path):
    (tmp_path / "fresh").mkdir()
    session = Session(tmp_path / "fresh", {})
    yield session
    session.close()


def test_blocks_share_folder_names_and_variables(session):
    session.run(Block("sh", "export A=1\nmkdir -p in/it\ncd in", 1, ""))
    session.run(Block("sh", "test $A = 1\ncd it", 4, ""))
    session.run(Block("python", "import os\nhere = os.listdir()", 7, ""))
    session.run(Block("python", "assert here == ['in']", 9, ""))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("python", "1 / 0"),
        ("sh", "false\ntrue"),
        ("sh", "echo $undefined"),
        ("sh", "pip install 'dsbuild[no_such_extra]'"),
        ("sh", "false | cat"),
    ],
)
def test_a_failing_block_fails(kind, text, session):
    with pytest.raises(AssertionError, match="line 11:"):
        session.run(Block(kind, text, 11, ""))
