import itertools
import json
import os
import pickle
import random
import subprocess
import sys

import pytest

import dsbuild
from dsbuild.errors import PlanError, ShardError
from dsbuild.reader.records import index
from tests.support import fakes, reads
from tests.support.runs import make

torch = pytest.importorskip("torch")
from torch.utils.data import DataLoader  # noqa: E402
from torch.utils.data.distributed import DistributedSampler  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),  # more workers than cores
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated"),  # torchdata 0.11 calls it
    # Later Pythons dislike the fork that is torch's default before them.
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """23 samples in four shards."""
    folder = tmp_path_factory.mktemp("torch")
    out = str(folder / "out")
    make(fakes.voc(folder, train=23, val=2, width=24, height=16), out, splits=("train",), shards=4)
    return out


def stream(built, split="train", **order):
    return dsbuild.torch_dataset(built, split, iterable=True, **order)


def keys(data, batch=4, **asked):
    """Return the keys as a DataLoader yields them."""
    loader = DataLoader(data, batch_size=batch, collate_fn=data.collate, **asked)
    return [key for found in loader for key in found["key"]]


def stored(built, split="train"):
    return [sample.key for sample in dsbuild.open(built, split)]


@pytest.mark.parametrize("iterable", [False, True])
def test_control_files_are_read_once(built, iterable):
    with reads.once() as opened:
        data = dsbuild.torch_dataset(built, "train", classes=[0], iterable=iterable)
        next(iter(data))
    assert opened["manifest.json"] == opened["schema.json"] == 1


def test_numbers(built):
    data = dsbuild.torch_dataset(built, "train[5:9]")
    assert [data[i]["key"] for i in range(len(data))] == stored(built)[5:9]
    assert data[-1]["key"] == stored(built)[8]
    assert data.reader.classes[15] == "person"
    with pytest.raises(IndexError):
        data[4]


# Whatever starts anew imports torch, which takes its time.
@pytest.mark.parametrize(
    ("start", "iterable"),
    [
        ("fork", False),
        ("spawn", True),
        pytest.param("fork", True, marks=pytest.mark.slow),
        pytest.param("forkserver", False, marks=pytest.mark.slow),
    ],
)
def test_every_kind_of_worker_gets_each_record_once(built, start, iterable):
    data = dsbuild.torch_dataset(built, iterable=iterable)
    loader = DataLoader(
        data,
        batch_size=4,
        num_workers=2,
        multiprocessing_context=start,
        persistent_workers=True,
        collate_fn=data.collate,
    )
    for epoch in range(2):
        if iterable:
            data.set_epoch(epoch)
        found = [key for batch in loader for key in batch["key"]]
        assert sorted(found) == sorted(stored(built))
        assert iterable or found == stored(built)


def shares(built, size, ranks, workers, **order):
    """Return the keys that each rank reads."""
    found = []
    for rank in range(ranks):
        data = stream(built, f"train[:{size}]", seed=1, rank=rank, world_size=ranks, **order)
        found.append(keys(data, num_workers=workers))
        assert len(found[-1]) == len(data)
    return found


@pytest.mark.parametrize("size", [0, 1, 23])
@pytest.mark.parametrize("ranks", [1, 3])
def test_ranks_and_workers_share_an_epoch(built, size, ranks):
    for workers in (0, 2, 3):
        found = shares(built, size, ranks, workers)
        assert sorted(itertools.chain(*found)) == sorted(stored(built, f"train[:{size}]"))


@pytest.mark.parametrize("size", [2, 7, 23])
@pytest.mark.parametrize("workers", [0, 2])
def test_the_last_are_dropped_so_that_no_rank_waits(built, size, workers):
    found = shares(built, size, 3, workers, drop_last=True)
    assert list(map(len, found)) == [size // 3] * 3
    assert len(set(itertools.chain(*found))) == size - size % 3


def test_each_epoch_drops_other_records(built):
    data = stream(built, seed=1, rank=0, world_size=1)
    ranks = [stream(built, seed=1, drop_last=True, rank=i, world_size=2) for i in range(2)]
    dropped = set()
    for epoch in range(4):
        for one in (data, *ranks):
            one.set_epoch(epoch)
        dropped |= set(keys(data)) - set(keys(ranks[0])) - set(keys(ranks[1]))
    assert len(dropped) > 1


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_is_a_function_of_seed_and_number(built, workers):
    data = stream(built, seed=1)
    asked = {"num_workers": workers, "persistent_workers": workers > 0}
    loader = DataLoader(data, batch_size=4, collate_fn=data.collate, **asked)
    orders = []
    for epoch in (0, 1, 2, 1):
        data.set_epoch(epoch)
        orders.append([key for batch in loader for key in batch["key"]])
    assert orders[1] == orders[3]
    assert len({tuple(order) for order in orders}) == 3
    assert {tuple(sorted(order)) for order in orders} == {tuple(sorted(stored(built)))}
    assert keys(stream(built, seed=1), num_workers=workers) == orders[0]
    assert keys(stream(built, seed=2), num_workers=workers) != orders[0]
    assert keys(stream(built)) == stored(built)


@pytest.mark.parametrize("workers", [0, 2])
def test_threads_change_nothing(built, workers):
    plain, ahead = stream(built, seed=3), stream(built, seed=3, threads=2)
    assert keys(ahead, num_workers=workers) == keys(plain, num_workers=workers)
    for one, other in zip(ahead, plain, strict=True):
        assert one["key"] == other["key"]
        assert torch.equal(one["image"], other["image"])
        assert torch.equal(one["label"], other["label"])


def test_a_distributed_sampler_pads_or_drops(built):
    data = dsbuild.torch_dataset(built)
    for drop_last, size in ((False, 24), (True, 22)):
        shares = []
        for rank in range(2):
            sampler = DistributedSampler(data, 2, rank, drop_last=drop_last)
            shares += keys(data, sampler=sampler, num_workers=2)
        assert (len(shares), len(set(shares))) == (size, min(size, 23))


RANK = """
import json, os, sys
from torch import distributed
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler
import dsbuild

def main():
    rank, out, meet = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    early = dsbuild.torch_dataset(out, iterable=True, seed=1)
    distributed.init_process_group("gloo", init_method=f"file://{meet}", rank=rank, world_size=2)
    late = dsbuild.torch_dataset(out, iterable=True, seed=1)
    data = dsbuild.torch_dataset(out, "train[:22]")
    found = {"map": (data, {"sampler": DistributedSampler(data)}), "early": (early, {})}
    found["worker"] = (early, {"num_workers": 1, "multiprocessing_context": "spawn"})
    found["late"] = (late, {"num_workers": 2})
    for name, (data, asked) in found.items():
        loader = DataLoader(data, batch_size=4, collate_fn=data.collate, **asked)
        mine = [key for batch in loader for key in batch["key"]]
        shares = [None, None]
        distributed.all_gather_object(shares, mine)
        found[name] = shares
    distributed.destroy_process_group()
    print(json.dumps(found))

if __name__ == "__main__":
    main()
"""


def test_two_processes_of_torch_distributed(built, tmp_path):
    script = tmp_path / "rank.py"
    script.write_text(RANK)
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo"}
    ranks = [
        subprocess.Popen(
            [sys.executable, script, str(rank), built, tmp_path / "meet"],
            stdout=subprocess.PIPE,
            env=environment,
        )
        for rank in range(2)
    ]
    found = [json.loads(rank.communicate(timeout=120)[0]) for rank in ranks]
    assert found[0] == found[1]
    for name, shares in found[0].items():
        expected = stored(built, "train[:22]" if name == "map" else "train")
        assert sorted(itertools.chain(*shares)) == sorted(expected), name
        assert abs(len(shares[0]) - len(shares[1])) < 2


def epochs(loader, data, numbers):
    """Yield (epoch, keys) of every batch, as a training loop goes."""
    for number in numbers:
        data.set_epoch(number)
        for batch in loader:
            yield number, tuple(batch["key"])


@pytest.mark.parametrize("drop_last", [False, True])
def test_an_iterable_resumes_where_it_stopped(built, drop_last):
    def start():
        data = stream(built, seed=3, rank=1, world_size=3, drop_last=drop_last)
        return data, DataLoader(data, batch_size=2, collate_fn=data.collate)

    data, loader = start()
    whole = list(epochs(loader, data, range(3)))
    for left in range(len(whole) + 1):
        data, loader = start()
        states, steps = [data.state_dict()], epochs(loader, data, range(3))
        before = []
        for _ in range(left):
            before.append(next(steps))
            states.append(data.state_dict())
        number = before[-1][0] if before else 0
        data, loader = start()
        data.load_state_dict(json.loads(json.dumps(states[-1])))
        assert data.state_dict() == states[-1]
        assert before + list(epochs(loader, data, range(number, 3))) == whole


@pytest.mark.parametrize("iterable", [False, True])
@pytest.mark.parametrize(("workers", "persistent"), [(0, False), (2, False), (2, True)])
def test_a_stateful_loader_resumes_where_it_stopped(built, workers, persistent, iterable):
    loaders = pytest.importorskip("torchdata.stateful_dataloader")

    def start():
        data = dsbuild.torch_dataset(built, iterable=iterable, **{"seed": 3} if iterable else {})
        asked = {"num_workers": workers, "persistent_workers": persistent}
        if not iterable:
            sampler = torch.utils.data.RandomSampler(data, generator=torch.Generator())
            asked["sampler"] = sampler
            data.set_epoch = sampler.generator.manual_seed
        return data, loaders.StatefulDataLoader(
            data, batch_size=4, collate_fn=data.collate, **asked
        )

    data, loader = start()
    whole = list(epochs(loader, data, range(3)))
    assert len(set(whole)) == len(whole)
    ends = [
        number for number, (one, two) in enumerate(itertools.pairwise(whole), 1) if one[0] != two[0]
    ]
    inside = [n for n in range(1, len(whole)) if n not in ends]
    for left in random.Random(workers).sample(inside, 4):
        data, loader = start()
        steps = epochs(loader, data, range(3))
        before = [next(steps) for _ in range(left)]
        state = pickle.loads(pickle.dumps(loader.state_dict()))
        del steps
        data, loader = start()
        loader.load_state_dict(state)
        assert before + list(epochs(loader, data, range(before[-1][0], 3))) == whole


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stateful_loader_between_epochs(built, workers):
    loaders = pytest.importorskip("torchdata.stateful_dataloader")
    data, again = (stream(built, seed=3) for _ in range(2))
    one, other = (
        loaders.StatefulDataLoader(x, batch_size=4, num_workers=workers, collate_fn=x.collate)
        for x in (data, again)
    )
    first = list(epochs(one, data, [0]))
    other.load_state_dict(one.state_dict())
    assert first + list(epochs(other, again, [1, 2])) == first + list(epochs(one, data, [1, 2]))


def test_a_state_fits_any_rank_but_no_other_division(built):
    ranks = [stream(built, seed=1, rank=i, world_size=2) for i in range(2)]
    whole = [keys(rank, 1) for rank in ranks]
    running = iter(ranks[0])
    for _ in range(5):
        next(running)
    state = ranks[0].state_dict()
    for rank, expected in zip(ranks, whole, strict=True):
        rank.load_state_dict(state)
        assert keys(rank, 1) == expected[5:]
    list(running)
    ranks[1].load_state_dict(ranks[0].state_dict())
    assert keys(ranks[1]) == []
    assert keys(ranks[1], 1) == whole[1]
    for asked, message in (
        ({"seed": 1}, "ranks x workers 2, expected 1"),
        ({"seed": 2, "rank": 0, "world_size": 2}, "seed 1, expected 2"),
        ({"seed": 1, "rank": 0, "world_size": 2, "split": "train[1:]"}, "samples 23, expected 22"),
    ):
        other = stream(built, **asked)
        other.load_state_dict(state)
        with pytest.raises(PlanError, match=f"with {message}; resume with"):
            iter(other)


def test_an_invalid_state_is_refused(built):
    data = stream(built)
    data.load_state_dict({"_snapshot": {}})
    with pytest.raises(PlanError, match="with samples None, expected 23"):
        iter(data)


def test_a_state_of_another_epoch(built):
    data = stream(built, seed=1)
    data.set_epoch(3)
    running = iter(data)
    next(running)
    data.load_state_dict(data.state_dict())
    data.set_epoch(0)
    with pytest.raises(PlanError, match=r"within epoch 3, but set_epoch\(0\)"):
        iter(data)
    list(running)
    data.set_epoch(3)
    done = stream(built, seed=1)
    list(done)
    done.load_state_dict(done.state_dict())
    done.set_epoch(1)
    assert len(keys(done)) == 23


def test_order_is_of_iterables(built):
    with pytest.raises(PlanError, match="seed, rank: expected only with iterable=True"):
        dsbuild.torch_dataset(built, seed=0, rank=0)
    with pytest.raises(PlanError, match="rank 1, world_size None: expected both or neither"):
        stream(built, rank=1)
    with pytest.raises(PlanError, match="found reader 2 of 2"):
        stream(built, rank=2, world_size=2)


# After any error torch waits five seconds for each worker. The index of a cut file does not fit it.
@pytest.mark.filterwarnings("ignore:.*found no index of a file")
@pytest.mark.parametrize(("harm", "iterable"), [("cut", True), ("bit", False)])
def test_a_damaged_shard_is_named_from_a_worker(voc, out, harm, iterable):
    make(voc, out, splits=("val",), shards=2)
    path = os.path.join(out, "val-00001-of-00002.tfrecord")
    offset, size = index(path)[1].tolist()
    with open(path, "r+b") as file:
        if harm == "cut":
            file.truncate(offset + size - 20)
        else:
            file.seek(offset + size // 2)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 1]))
    data = dsbuild.torch_dataset(out, iterable=iterable)
    with pytest.raises(ShardError) as caught:
        keys(data, 2, num_workers=1, multiprocessing_context="fork")
    assert f"{path}: record 1 at byte {offset}: " in str(caught.value)


def test_it_is_asked_for_by_name_alone(tmp_path):
    code = "import sys, dsbuild; assert 'torch' not in sys.modules; sys.modules['torch'] = None\n"
    code += "try:\n    dsbuild.torch_dataset\nexcept dsbuild.errors.DsbuildError as error:\n"
    code += "    print(error)"
    code = code.replace("import sys, dsbuild", "import sys, dsbuild.errors")
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == (
        "dsbuild.torch_dataset needs PyTorch, which is not installed: "
        "pip install 'dsbuild[torch]'\n"
    )
