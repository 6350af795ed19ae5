"""The solvers of the fake API: how they describe themselves, and how they answer a problem."""

from __future__ import annotations

import base64
import io
import pickle
import struct
import zipfile
from functools import cache
from typing import Any

import dimod
import numpy as np
from dwave.cloud.testing import mocks
from dwave.optimization import Model
from dwave.samplers import SimulatedAnnealingSampler


def qpu_solver(m: int = 6, **properties: Any) -> dict[str, Any]:
    """A Pegasus QPU, by default one that embeds cliques of up to 60 variables."""
    if properties:
        data = mocks.qpu_pegasus_solver_data(m, **properties)
    else:
        data = pickle.loads(_pegasus_solver(m))
    data["properties"]["parameters"] = dict.fromkeys(
        ["num_reads", "annealing_time", "anneal_schedule", "auto_scale", "answer_mode", "label"], ""
    )
    data["properties"]["problem_timing_data"] = mocks.qpu_problem_timing_data()
    data["properties"]["num_reads_range"] = [1, 10_000]
    return data


@cache
def _pegasus_solver(m: int) -> bytes:
    """Its description, which takes a while to make, as something to make copies from."""
    return pickle.dumps(mocks.qpu_pegasus_solver_data(m))


def hybrid_solvers() -> list[dict[str, Any]]:
    """The hybrid solvers of Leap, with short minimum times."""
    bqm = mocks.hybrid_bqm_solver_data(minimum_time_limit=[[1, 0.1], [8192, 16.0]])
    cqm = mocks.hybrid_cqm_solver_data(minimum_time_limit_s=0.1)
    nl = mocks.hybrid_nl_solver_data(min_time_limit=0.1)
    return [bqm, cqm, nl]


def structured_answer(
    job: dict[str, Any], properties: dict[str, Any], num_sweeps: int, *, fewer: bool
) -> dict[str, Any]:
    qubits = np.array(properties["qubits"])
    couplers = np.array(properties["couplers"])
    linear = np.frombuffer(base64.b64decode(job["data"]["lin"]), "<f8")
    active = ~np.isnan(linear)
    is_active = np.zeros(qubits.max() + 1, bool)
    is_active[qubits[active]] = True
    both = is_active[couplers].all(axis=1)
    biases = np.zeros(both.sum())
    sent = np.frombuffer(base64.b64decode(job["data"]["quad"]), "<f8")
    biases[: sent.size] = sent
    vartype = "SPIN" if job["type"] == "ising" else "BINARY"
    used = couplers[both]
    keep = biases != 0
    bqm = dimod.BinaryQuadraticModel.from_numpy_vectors(
        np.zeros(0), (np.zeros(0, int), np.zeros(0, int), np.zeros(0)), 0.0, vartype
    )
    for qubit, bias in zip(qubits[active].tolist(), linear[active].tolist(), strict=True):
        bqm.add_linear(qubit, bias)
    bqm.add_quadratic_from(
        (u, v, bias)
        for (u, v), bias in zip(used[keep].tolist(), biases[keep].tolist(), strict=True)
    )
    reads = int(job["params"].get("num_reads", 1))
    reads = max(reads // 2, 1) if fewer else reads
    sample_set = _anneal(bqm, reads, num_sweeps)
    order = np.argsort(list(sample_set.variables))
    samples = (sample_set.record.sample[:, order] > 0).astype(np.uint8)
    energies = sample_set.record.energy
    return {
        "format": "qp",
        "active_variables": _pack("i", np.sort(qubits[active])),
        "energies": _pack("d", energies),
        "solutions": base64.b64encode(np.packbits(samples, axis=1).tobytes()).decode(),
        "num_occurrences": _pack("i", np.ones(reads, int)),
        "num_variables": properties["num_qubits"],
        "timing": _timing(reads, float(job["params"].get("annealing_time", 20.0))),
    }


def _timing(reads: int, annealing_time: float) -> dict[str, float]:
    per_sample = annealing_time + 20.54 + 120.0
    return {
        "qpu_programming_time": 15_072.0,
        "qpu_sampling_time": reads * per_sample,
        "qpu_anneal_time_per_sample": annealing_time,
        "qpu_access_time": 15_072.0 + reads * per_sample,
    }


def _anneal(bqm: dimod.BinaryQuadraticModel, reads: int, num_sweeps: int) -> dimod.SampleSet:
    scale = max(abs(b) for b in [*bqm.linear.values(), *bqm.quadratic.values()])
    return SimulatedAnnealingSampler().sample(
        bqm, num_reads=reads, num_sweeps=num_sweeps, seed=0,
        beta_range=(0.1 / scale, 50.0 / scale),
    )  # fmt: skip


def solve_bqm(data: bytes, num_sweeps: int) -> dimod.SampleSet:
    bqm = dimod.BinaryQuadraticModel.from_file(io.BytesIO(data))
    return _anneal(bqm, 10, num_sweeps).truncate(1)  # as the real one: the best sample only


def solve_cqm(data: bytes, num_sweeps: int) -> dimod.SampleSet:
    cqm = dimod.ConstrainedQuadraticModel.from_file(io.BytesIO(data))
    bqm, invert = dimod.cqm_to_bqm(cqm)
    rows = [invert(sample) for sample in _anneal(bqm, 20, num_sweeps).samples()]
    return dimod.SampleSet.from_samples_cqm(rows, cqm)


def solve_nl(data: bytes, seed: int = 0) -> Model:
    """The model with states that satisfy sum(b) = 0, by random descent in pairs of levels."""
    model = Model.from_file(io.BytesIO(data))
    if not model.is_locked():
        model.lock()
    levels = next(model.iter_decisions())
    constraint = next(model.iter_constraints())
    top, rng = int(levels.upper_bound()), np.random.default_rng(seed)
    model.states.resize(5)
    for i in range(5):
        found = np.zeros(levels.shape())
        levels.set_state(i, found)
        best = float(model.objective.state(i))
        for _ in range(400):
            trial = found.copy()
            picked = rng.choice(trial.size, 2, replace=False)
            trial[picked] = (trial[picked] + rng.choice([-1, 1], 2)).clip(0, top)
            levels.set_state(i, trial)
            if constraint.state(i) and float(model.objective.state(i)) < best:
                found, best = trial, float(model.objective.state(i))
        levels.set_state(i, found)
    return model


def states_file(states: Any) -> bytes:
    """States of one decision in the service's format, whatever their values."""
    states = np.asarray(states, dtype=np.float64)
    model = Model()
    decision = model.integer(states.shape[1:])
    model.minimize(decision.sum())
    model.lock()
    model.states.resize(len(states))
    for i in range(len(states)):
        decision.set_state(i, np.zeros(states.shape[1:]))
    file = io.BytesIO()
    model.states.into_file(file)
    proper = file.getvalue()
    array, changed = io.BytesIO(), io.BytesIO()
    np.save(array, states)
    changed.write(proper[: proper.index(b"PK")])
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(changed, "a") as new:
        for name in old.namelist():
            is_states = name.endswith("states.npy")
            new.writestr(name, array.getvalue() if is_states else old.read(name))
    return changed.getvalue()


def _pack(kind: str, values: Any) -> str:
    return base64.b64encode(struct.pack(f"<{len(values)}{kind}", *values.tolist())).decode()
