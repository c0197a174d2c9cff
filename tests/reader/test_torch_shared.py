"""Batches of workers reach the trainer unchanged, in memory that is used again."""

import contextlib
import copy
import os
import pickle
import signal
from multiprocessing.reduction import ForkingPickler

import pytest

import dsbuild
from tests.support import fakes
from tests.support.runs import make

torch = pytest.importorskip("torch")
from torch.utils.data import DataLoader  # noqa: E402

shared = pytest.importorskip("dsbuild.reader.torch.shared")
pytestmark = [
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),  # more workers than cores
    # Later Pythons dislike the fork that is torch's default before them.
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]
FORM = shared.Form(torch.int16, (2, 3), (3, 1))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """40 samples."""
    folder = tmp_path_factory.mktemp("torch")
    out = str(folder / "out")
    make(fakes.voc(folder, train=40, val=2, width=24, height=16), out, splits=("train",), shards=4)
    return dsbuild.torch_dataset(out, "train")


def tensors(batch):
    """Return the tensors of a batch: of a dict of them, or of a list of samples."""
    found = [batch] if isinstance(batch, dict) else batch
    return [one[name] for one in found for name in ("image", "label")]


def mapped():
    """Return how many pieces of torch's shared memory this process has mapped or open."""
    if not os.path.isdir("/proc/self/fd"):
        return 0
    with open("/proc/self/maps") as file:
        found = [line for line in file if "/torch_" in line]
    for one in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found += [one] if "/torch_" in os.readlink(f"/proc/self/fd/{one}") else []
    return len(found)


def same(one, other):
    kinds = {type(x) for x in tensors(one)}
    assert kinds == {torch.Tensor}
    for x, y in zip(tensors(one), tensors(other), strict=True):
        assert (x.dtype, x.shape, x.stride()) == (y.dtype, y.shape, y.stride())
        assert torch.equal(x, y)


@pytest.mark.parametrize(
    ("collate", "context"), [("collate", "fork"), ("unpadded", "fork"), ("unpadded", "spawn")]
)
def test_batches_are_those_of_one_process_also_while_others_are_made(data, collate, context):
    collate_fn = getattr(data, collate)
    expected = list(DataLoader(data, 4, collate_fn=collate_fn))
    loader = DataLoader(
        data, 4, collate_fn=collate_fn, num_workers=2, multiprocessing_context=context
    )
    held = []
    for one, other in zip(loader, expected, strict=True):
        same(one, other)
        held.append(one)
    for one, other in zip(held, expected, strict=True):
        same(one, other)


def test_memory_is_used_again_and_given_back(data):
    loader = DataLoader(
        data, 2, collate_fn=data.collate, num_workers=1, persistent_workers=True, prefetch_factor=2
    )
    before = mapped()
    for _ in range(2):
        seen = sum(len(batch["key"]) for batch in loader)
        assert seen == 40
    (pieces,) = shared._kept.values()
    assert 1 <= len(pieces) <= 6  # of 40 batches
    del loader, pieces
    assert not shared._kept
    assert not shared._used
    assert mapped() <= before


def test_a_batch_outlives_its_worker(data):
    (expected,) = DataLoader(data, 40, collate_fn=data.collate)
    (found,) = DataLoader(data, 40, collate_fn=data.collate, num_workers=1)
    view = found["image"][3].numpy()
    assert not shared._kept
    same(found, expected)
    del found
    assert len(shared._used) == 1  # by the view
    assert (view == expected["image"][3].numpy()).all()
    del view
    assert not shared._used


def sent(tensor):
    return pickle.loads(ForkingPickler.dumps(tensor))


def number(tensor):
    return tensor._parcel.piece.number


def test_a_piece_is_free_when_neither_side_has_a_tensor_of_it():
    (one,) = shared.empty([FORM])
    piece = number(one)
    assert number(*shared.empty([FORM])) != piece
    one.fill_(7)
    there = sent(one)
    assert torch.equal(there, one.clone())
    del one
    assert number(*shared.empty([FORM])) != piece
    view = there[1]
    del there
    assert number(*shared.empty([FORM])) != piece
    del view
    numbers, held = set(), []
    for _ in range(shared._SPARE + 1):
        held += shared.empty([FORM])
        numbers.add(number(held[-1]))
    assert piece in numbers


def test_what_is_not_sent_is_free_at_once():
    first = number(*shared.empty([FORM]))
    assert number(*shared.empty([FORM])) == first


def test_tensors_made_from_a_shared_one_are_copied():
    (one,) = shared.empty([FORM])
    one.zero_()
    row = one[0]
    assert type(row) is type(one * 2) is type(one.clone()) is torch.Tensor
    there = sent(row)
    again = sent(one)
    assert type(again) is torch.Tensor
    for _ in range(shared._SPARE + 1):
        shared.empty([FORM])[0].fill_(9)
    assert there.tolist() == [0, 0, 0]
    assert again.tolist() == [[0, 0, 0]] * 2


def test_a_copy_is_a_plain_tensor():
    (one,) = shared.empty([FORM])
    one.fill_(4)
    for copied in (pickle.loads(pickle.dumps(one)), copy.deepcopy(one)):
        assert type(copied) is torch.Tensor
        assert copied.tolist() == one.tolist()


def test_a_piece_that_a_forked_process_sees_is_not_filled_again():
    (one,) = shared.empty([FORM])
    there, piece = sent(one), number(one)
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    del one, there
    held = [shared.empty([FORM])[0] for _ in range(shared._SPARE + 1)]
    assert piece not in map(number, held)


def test_a_piece_is_in_use_while_an_array_sees_what_torch_has_moved():
    (one,) = shared.empty([FORM])
    one.fill_(3)
    there, piece = sent(one), number(one)
    del one
    seen = there.numpy()
    there.share_memory_()  # as when it is sent to another process
    del there
    held = [shared.empty([FORM])[0].fill_(9) for _ in range(shared._SPARE + 1)]
    assert piece not in map(number, held)
    assert (seen == 3).all()
    del seen
    sent(held.pop())
    held += [shared.empty([FORM])[0] for _ in range(shared._SPARE + 1)]
    assert piece in map(number, held)
    assert not shared._moved


def test_each_tensor_has_a_storage_of_its_own():
    one, other = shared.empty([FORM, FORM])
    assert {x.untyped_storage().nbytes() for x in (*sent((one, other)), one)} == {12}


def test_what_is_changed_in_place_is_sent_as_it_is():
    one, other = shared.empty([FORM, FORM])
    one.fill_(5).unsqueeze_(1)
    other.data = torch.ones(2)
    one, other = sent((one, other))
    assert one.tolist() == [[[5, 5, 5]]] * 2
    assert other.tolist() == [1, 1]


def test_a_process_that_a_worker_forks_keeps_what_it_sees():
    (one,) = shared.empty([FORM])
    piece = number(one)
    shared._forking()
    sent(one)
    del one
    held = [shared.empty([FORM])[0] for _ in range(shared._SPARE + 1)]
    assert piece not in map(number, held)


def test_tensors_without_values_are_sent():
    (one,) = shared.empty([shared.Form(torch.uint8, (0, 3), (3, 1))])
    assert sent(one).shape == (0, 3)


def test_free_pieces_are_few():
    held = [shared.empty([FORM])[0] for _ in range(3 * shared._SPARE)]
    pieces = held[0]._parcel.pieces
    del held
    shared.empty([FORM])
    assert len(pieces._all) <= shared._SPARE


class Deadly:
    """Kills the worker that collates."""

    def __init__(self, collate):
        self.collate = collate

    def __call__(self, batch):
        found = self.collate(batch)
        if torch.utils.data.get_worker_info().id == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return found


def test_a_worker_that_dies_is_named(data):
    loader = DataLoader(data, 4, collate_fn=Deadly(data.collate), num_workers=2)
    with pytest.raises(RuntimeError, match=r"DataLoader worker.* (killed by signal|unexpectedly)"):
        list(loader)
