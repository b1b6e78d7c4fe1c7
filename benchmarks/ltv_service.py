"""How fast ``audience-pipeline ltv serve`` answers on loopback.

``python benchmarks/ltv_service.py [--requests 100000] [--model DIR]``; without a model, one is trained on
the synthetic shop. The service is a process of its own with one worker; this process holds the clients,
each with one connection that it keeps and one request at a time: a customer with twenty transactions. The
bars are 10 ms at the 99th percentile with eight clients, and never over 100 ms in 100,000 requests. What
other processes took of the processor in the meantime is told beside the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from audience_pipeline.ltv.model import LtvModel
from audience_pipeline.sandbox.shop import ShopParameters, make_shop

RESULTS = Path(__file__).parent / "results" / "ltv_service.json"
BAR_P99_MS, BAR_MAX_MS, BAR_CLIENTS, BAR_SOAK = 10.0, 100.0, 8, 100_000
BODIES, LINES, WARM_UP = 500, 20, 200
COMMAND = [sys.executable, "-c", "from audience_pipeline.cli import main; main()", "ltv"]
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Measure, print one table and write it as JSON."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--clients", type=int, action="append", metavar="N", help="repeatable; 1, 8 and 16")
    options.add_argument("--requests", type=int, default=5_000, help="for each number of clients")
    options.add_argument("--model", type=Path, metavar="DIR")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="ltv-") as name:
        folder = Path(name)
        model = given.model or _trained(folder)
        bodies = _bodies(LtvModel.load(model).as_of)
        cells = []
        print(f"{'clients':>7}{'requests':>10}{'p50':>8}{'p99':>8}{'p99.9':>8}{'max':>8}  ms{'a second':>10}"
              f"{'> 100 ms':>10}{'a batch':>9}{'service':>9}{'others':>8}  cores")  # fmt: skip
        with _service(model, folder) as (process, port):
            for clients in given.clients or [1, 8, 16]:
                cell = asyncio.run(_measured(process.pid, port, bodies, clients, given.requests))
                cells.append(cell)
                print(
                    f"{cell['clients']:>7}{cell['requests']:>10,}{cell['p50_ms']:>8.2f}{cell['p99_ms']:>8.2f}"
                    f"{cell['p999_ms']:>8.2f}{cell['max_ms']:>8.2f}    {cell['per_second']:>10,.0f}"
                    f"{cell['over_100_ms']:>10}{cell['customers_a_batch']:>9.2f}{cell['service_cores']:>9.2f}{cell['other_cores']:>8.2f}"
                )
            memory = _memory_mib(process.pid)
    result = {
        "cores": os.cpu_count(),
        "customers_a_request": 1,
        "transactions_a_customer": LINES,
        "memory_mib": memory,
        "cells": cells,
    }
    print(f"memory of the service: {memory} MiB")
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0 if all(_met(cell) for cell in cells) else 1


def _met(cell: dict[str, Any]) -> bool:
    slow = cell["clients"] == BAR_CLIENTS and cell["p99_ms"] >= BAR_P99_MS
    return not slow and (cell["requests"] < BAR_SOAK or cell["max_ms"] <= BAR_MAX_MS)


def _trained(folder: Path) -> Path:
    make_shop(folder, ShopParameters(customers=3_000, months=30))
    file, model = folder / "transactions.csv", folder / "model"
    subprocess.run(
        [*COMMAND, "train", "--transactions", file, "--model", model, "--json"],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return model


def _bodies(as_of: date) -> list[bytes]:
    rng = random.Random(7)
    bodies = []
    for number in range(BODIES):
        lines = []
        for line in range(LINES):
            amount = rng.lognormvariate(3.5, 0.7) * (-0.5 if line % 10 == 9 else 1)
            lines.append(
                {
                    "transaction_date": str(as_of - timedelta(days=rng.randrange(700))),
                    "transaction_amount": f"{amount:.2f}",
                    "product_category": rng.choice(("basics", "shoes", "bags", "home")),
                    "order_id": f"{number}-{line // 2}",
                    "channel": rng.choice(("organic", "paid_search")),
                }
            )
        document = {"as_of": str(as_of), "customer_id": f"C{number}", "transactions": lines}
        text = json.dumps(document).encode()
        head = f"POST /score HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(text)}\r\n\r\n"
        bodies.append(head.encode() + text)
    return bodies


@contextlib.contextmanager
def _service(model: Path, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    ready = folder / "ready"
    process = subprocess.Popen(
        [*COMMAND, "serve", "--model", model, "--port", "0", "--ready-file", ready], stderr=subprocess.DEVNULL
    )
    try:
        while not ready.is_file():
            if process.poll() is not None:
                raise SystemExit(f"the service ended with {process.returncode}")
            time.sleep(0.05)
        yield process, int(ready.read_text().rpartition(":")[2])
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@dataclass
class _Share:
    """What is still to ask, and how long every answer took."""

    left: int
    times: list[float]
    next: int = 0


async def _measured(pid: int, port: int, bodies: list[bytes], clients: int, requests: int) -> dict[str, Any]:
    await asyncio.gather(*(_client(port, bodies, _Share(WARM_UP, [])) for _ in range(clients)))
    share = _Share(requests, [])
    gc.collect()
    gc.disable()
    customers, batches = _batches(port)
    service, own, busy = _cpu(pid), sum(os.times()[:2]), _busy()
    start = time.perf_counter()
    await asyncio.gather(*(_client(port, bodies, share) for _ in range(clients)))
    seconds = time.perf_counter() - start
    gc.enable()
    service, own, busy = _cpu(pid) - service, sum(os.times()[:2]) - own, _busy() - busy
    customers, batches = (
        after - before for after, before in zip(_batches(port), (customers, batches), strict=True)
    )
    times = sorted(share.times)
    return {
        "clients": clients,
        "requests": len(times),
        **{
            name: round(1000 * times[min(int(len(times) * part), len(times) - 1)], 3)
            for name, part in (("p50_ms", 0.5), ("p99_ms", 0.99), ("p999_ms", 0.999), ("max_ms", 1.0))
        },
        "over_100_ms": sum(one > BAR_MAX_MS / 1000 for one in times),
        "per_second": round(len(times) / seconds, 1),
        "customers_a_batch": round(customers / batches, 2),
        "service_cores": round(service / seconds, 2),
        "client_cores": round(own / seconds, 2),
        "other_cores": round(max(busy - service - own, 0.0) / seconds, 2),
    }


async def _client(port: int, bodies: list[bytes], share: _Share) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while share.left:
        share.left -= 1
        share.next += 1
        body = bodies[share.next % len(bodies)]
        start = time.perf_counter()
        writer.write(body)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        answer = await reader.readexactly(length)
        share.times.append(time.perf_counter() - start)
        if not head.startswith(b"HTTP/1.1 200") or b'"predicted_ltv":' not in answer:
            raise SystemExit(f"the service said: {head.decode()}{answer.decode()}")
    writer.close()


def _batches(port: int) -> tuple[float, float]:
    """Customers and batches so far, in the words of the service."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as response:
        lines = dict(line.rsplit(" ", 1) for line in response.read().decode().splitlines() if line[0] != "#")
    return float(lines["ltv_batch_customers_sum"]), float(lines["ltv_batch_customers_count"])


def _cpu(pid: int) -> float:
    """Seconds of processor time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _busy() -> float:
    """Seconds of processor time of all processes."""
    fields = Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0].split()[1:]
    numbers = [int(field) for field in fields[:8]]
    return (sum(numbers) - numbers[3] - numbers[4]) / TICKS


def _memory_mib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


if __name__ == "__main__":
    sys.exit(main())
