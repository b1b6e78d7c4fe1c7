"""Sets of customers: one truth value per row of a profile, or one bit where many are kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Packed = npt.NDArray[np.uint8]


def packed(mask: Mask) -> Packed:
    """A mask with eight customers a byte."""
    return np.packbits(mask)


def unpacked(bits: Packed, rows: int) -> Mask:
    """The mask of packed bits, of its own memory."""
    return np.unpackbits(bits, count=rows).view(np.bool_)


class PackedMasks(Mapping[str, Mask]):
    """Masks by name, kept as bits."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._bits: dict[str, Packed] = {}

    def keep(self, name: str, mask: Mask) -> None:
        """Remember a mask."""
        self._bits[name] = packed(mask)

    def __getitem__(self, name: str) -> Mask:
        return unpacked(self._bits[name], self._rows)

    def __contains__(self, name: object) -> bool:
        return name in self._bits

    def __iter__(self) -> Iterator[str]:
        return iter(self._bits)

    def __len__(self) -> int:
        return len(self._bits)
