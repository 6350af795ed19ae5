"""Draw the QUBO of a small fit as it lies on the qubits of a D-Wave annealer.

The qubits of an Advantage2 annealer are joined as in a Zephyr graph: each to about twenty others.
The QUBO of a fit couples every bit with every other one. Therefore each bit is represented by
several qubits that are joined to a chain, so that the chains touch wherever two bits are coupled.
Finding such chains is called minor embedding. In the picture, a dot is a qubit, and a chain has one
colour: 4 samples with 2 bits for each of their two coefficients are 16 bits, and 16 chains. A line
within a chain holds its qubits together. A thin grey line between two chains carries the coupling
of their two bits. White dots are qubits that are not used.

The embedding is found by minorminer, as for a fit with ``sampler="qpu"``. The graph is a small one,
with m = 2 instead of the 12 of an Advantage2 annealer::

    python docs/pictures/zephyr.py
"""

from __future__ import annotations

from typing import Any

import numpy as np
import style
from dwave.graphs import zephyr_graph, zephyr_layout
from minorminer import find_embedding

from qsvr import QSVR

# Bits 1 to 8 have the colours of Okabe and Ito, bits 9 to 16 the same ones with a black rim.
COLOURS = (
    style.BLUE,
    style.ORANGE,
    style.GREEN,
    style.RED,
    style.SKY,
    style.PURPLE,
    style.YELLOW,
    "#999999",
)


def couplings() -> list[tuple[int, int]]:
    """Return the pairs of bits that the QUBO of a small fit couples."""
    rng = np.random.default_rng(0)
    X, y = rng.uniform(-1, 1, (4, 2)), rng.uniform(-1, 1, 4)
    bqm = QSVR(n_bits=2).make_problem(X, y).to_bqm()
    return [pair for pair, bias in bqm.quadratic.items() if bias]


def embedding() -> tuple[list[tuple[int, int]], Any, dict[int, list[int]]]:
    """Return the pairs of coupled bits, the graph of the qubits and the chain of each bit."""
    pairs, qubits = couplings(), zephyr_graph(2)
    return pairs, qubits, find_embedding(pairs, qubits, random_seed=1)


def main() -> None:
    """Draw the picture."""
    plt = style.use()
    pairs, qubits, chains = embedding()
    bit_of = {qubit: bit for bit, chain in chains.items() for qubit in chain}
    place = zephyr_layout(qubits)
    used = len(bit_of)
    print(f"{len(pairs)} couplings, {used} of {len(qubits)} qubits, longest chain", end=" ")
    print(max(map(len, chains.values())))

    figure, ax = plt.subplots(figsize=(style.WIDTH, 6.2), layout="constrained")
    for ends in qubits.edges:
        bits = {bit_of.get(qubit) for qubit in ends}
        xs, ys = zip(*(place[qubit] for qubit in ends), strict=True)
        if None in bits:
            ax.plot(xs, ys, color="#eeeeee", lw=0.5, zorder=0)
        elif len(bits) == 1:
            ax.plot(xs, ys, color=COLOURS[bits.pop() % 8], lw=4, zorder=2)
        else:
            ax.plot(xs, ys, color="#aaaaaa", lw=0.6, zorder=1)
    for qubit, (x, y) in place.items():
        bit = bit_of.get(qubit)
        if bit is None:
            ax.plot(x, y, "o", ms=6, mfc="white", mec="#999999", zorder=1)
            continue
        ink = "white" if bit % 8 in (0, 2, 3) else "black"
        rim = "black" if bit >= 8 else COLOURS[bit]
        ax.plot(x, y, "o", ms=18, mfc=COLOURS[bit % 8], mec=rim, mew=1.6, zorder=3)
        ax.text(x, y, str(bit + 1), ha="center", va="center_baseline", color=ink, zorder=4)
    ax.set_title(f"{len(chains)} bits on {used} qubits: one colour is one bit, a chain of qubits")
    xs, ys = zip(*(place[qubit] for qubit in bit_of), strict=True)
    ax.set(xlim=(min(xs) - 0.06, max(xs) + 0.06), ylim=(min(ys) - 0.06, max(ys) + 0.06))
    ax.set_aspect("equal")
    ax.axis("off")
    style.save(figure, "zephyr.png")


if __name__ == "__main__":
    main()
