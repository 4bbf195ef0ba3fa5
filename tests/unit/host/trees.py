"""A /proc and /sys of a bare-metal host, as files of a folder, for tests to take things away from."""

from __future__ import annotations

from pathlib import Path

CPUINFO = "processor\t: {number}\nmodel name\t: Xeon E5-2690 v4\nflags\t\t: fpu tsc avx2\n\n"


def bare_metal(root: Path) -> Path:
    """Write the tree: 8 CPUs on 4 cores with SMT, 2 NUMA nodes, 64 GiB, a scaling governor."""
    files = {
        "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
        "etc/os-release": 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
        "proc/cpuinfo": "".join(CPUINFO.format(number=number) for number in range(8)),
        "proc/loadavg": "0.25 0.50 0.75 1/234 5678\n",
        "proc/meminfo": "MemTotal:       65830000 kB\nMemFree:        1 kB\nMemAvailable:   60000000 kB\n",
        "proc/sys/kernel/hostname": "bench1\n",
        "proc/sys/kernel/osrelease": "6.1.0-40-amd64\n",
        "proc/self/status": "Name:\tlab\nCpus_allowed:\tff\nCpus_allowed_list:\t0-7\n",
        "proc/self/cgroup": "0::/user.slice/session-1.scope\n",
        "sys/devices/system/cpu/online": "0-7\n",
        "sys/devices/system/cpu/smt/active": "1\n",
        "sys/devices/system/cpu/intel_pstate/no_turbo": "0\n",
        "sys/devices/system/node/online": "0-1\n",
        "sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc\n",
        "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
    }
    for number in range(8):
        siblings = f"{number % 4},{number % 4 + 4}"
        files[f"sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list"] = f"{siblings}\n"
        files[f"sys/devices/system/cpu/cpufreq/policy{number}/scaling_governor"] = "powersave\n"
    for node, cpus in enumerate(("0-1,4-5", "2-3,6-7")):
        files[f"sys/devices/system/node/node{node}/cpulist"] = f"{cpus}\n"
        files[f"sys/devices/system/node/node{node}/meminfo"] = f"Node {node} MemTotal:       32915000 kB\n"
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root
