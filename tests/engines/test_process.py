"""The cores that a process may use, by drawn control groups."""

import os

import pytest

from dsbuild.engines import cores

FREE = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()

# name -> files below the root, and the cores that they leave of many
GROUPS = {
    "nothing is known": ({}, None),
    "version 2, in a container": (
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "100000 100000\n"},
        1,
    ),
    "version 2, no limit": (
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"},
        None,
    ),
    "version 2, a limit above": (
        {
            "proc/self/cgroup": "0::/slurm/job_7/step_0\n",
            "sys/fs/cgroup/slurm/job_7/cpu.max": "50000 100000\n",
            "sys/fs/cgroup/slurm/job_7/step_0/cpu.max": "max 100000\n",
        },
        1,
    ),
    "version 2, a path of the host": (
        {"proc/self/cgroup": "0::/docker/1234\n", "sys/fs/cgroup/cpu.max": "100000 100000\n"},
        1,
    ),
    "version 1": (
        {
            "proc/self/cgroup": "12:pids:/x\n4:cpu,cpuacct:/docker/1234\n1:name=systemd:/x\n",
            "sys/fs/cgroup/cpu,cpuacct/docker/1234/cpu.cfs_quota_us": "90000\n",
            "sys/fs/cgroup/cpu,cpuacct/docker/1234/cpu.cfs_period_us": "100000\n",
        },
        1,
    ),
    "version 1, in a container": (
        {
            "proc/self/cgroup": "4:cpuacct,cpu:/docker/1234\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "100000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
        1,
    ),
    "version 1, no limit": (
        {
            "proc/self/cgroup": "4:cpu:/\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
        None,
    ),
    "both": (
        {
            "proc/self/cgroup": "4:cpu:/a\n0::/a\n",
            "sys/fs/cgroup/unified/a/cpu.max": "100000 100000\n",
        },
        1,
    ),
    "more than there are": (
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "99900000 100000\n"},
        None,
    ),
    "damaged": (
        {"proc/self/cgroup": "0::/\n\n??\n", "sys/fs/cgroup/cpu.max": "many\n"},
        None,
    ),
}


@pytest.mark.parametrize("name", GROUPS)
def test_control_groups_limit_cores(tmp_path, name):
    texts, expected = GROUPS[name]
    for path, text in texts.items():
        place = tmp_path / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    assert cores(str(tmp_path)) == (expected or FREE)


@pytest.mark.parametrize(("quota", "expected"), [(1, 1), (100000, 1), (100001, 2), (150000, 2)])
def test_a_part_of_a_core_counts_as_one(tmp_path, quota, expected):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/\n")
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/cpu.max").write_text(f"{quota} 100000\n")
    assert cores(str(tmp_path)) == min(expected, FREE)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system has no affinity")
def test_affinity_limits_cores(tmp_path):
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, [min(before)])
    try:
        assert cores(str(tmp_path)) == 1
    finally:
        os.sched_setaffinity(0, before)
    assert cores() >= 1
