"""Who is held out of an audience: the same people on every day and every machine, checked by anybody.

All numbers are unsigned with 64 bits, sums and products without what overflows::

    person   = first 8 bytes of SHA-256(person_key)
    audience = first 8 bytes of SHA-256(salt, U+001F, name of the audience)
    draw     = mix(person XOR audience)
    held out = draw < holdout_percent / 100 * 2^64, rounded

    mix(x):  x = (x XOR x >> 30) * 0xBF58476D1CE4E5B9
             x = (x XOR x >> 27) * 0x94D049BB133111EB
             return x XOR x >> 31

The person counts with their ``person_key``, which stays when they get the shop's id or another account of
theirs is found. SHA-256 is computed once per person; ``mix`` (the last step of SplitMix64) once per person
and audience. A greater percentage keeps the people of a smaller one.
"""

from __future__ import annotations

import hashlib

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl

from audience_pipeline.audiences.masks import Mask

DEFAULT_SALT = "audience-pipeline"
PersonHashes = npt.NDArray[np.uint64]


def person_hashes(person_keys: pl.Series) -> PersonHashes:
    """The number of each person from which all their draws are made."""
    with duckdb.connect(":memory:") as connection:
        connection.register("people", pl.DataFrame({"key": person_keys}).to_arrow())
        hashed = "('0x' || substr(sha256(key), 1, 16))::ubigint"
        found = connection.execute(f"select {hashed} as hash from people").fetchnumpy()
    return np.asarray(found["hash"], dtype=np.uint64)


def held_out(people: PersonHashes, audience: str, percent: float, *, salt: str = DEFAULT_SALT) -> Mask:
    """Who of some people is held out of an audience.

    Args:
        people: ``person_hashes`` of them.
        audience: the name of the audience.
        percent: the share to hold out, 0 to 100.
        salt: what makes the holdouts of this workspace its own. Changing it draws all holdouts anew.
    """
    limit = round(percent * 2**64 / 100)
    if not 0 < limit < 2**64:
        return np.full(people.shape, limit > 0)
    key = hashlib.sha256(f"{salt}\x1f{audience}".encode()).digest()[:8]
    draw = people ^ np.uint64(int.from_bytes(key))
    draw = (draw ^ draw >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    draw = (draw ^ draw >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return np.asarray((draw ^ draw >> np.uint64(31)) < np.uint64(limit))
