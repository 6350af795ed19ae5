"""Events, detector, reader, hashing and loss of the particle-flow example."""

from __future__ import annotations

import bz2
import os
import pickle

import numpy as np
import pytest
import torch

from hpo.examples.particle_flow import Events, read_delphes, simulate_events
from hpo.examples.particle_flow.binning import bin_order, from_bins, into_bins
from hpo.examples.particle_flow.events import TOWER, TRACK
from hpo.examples.particle_flow.loss import loss_parts
from hpo.examples.particle_flow.network import MLPF, Shape, encode, momentum

SHAPE = Shape(bin_size=64, output_dim=8, n_glayers_id=2, n_glayers_reg=1, dropout=0.0)


@pytest.fixture(scope="module")
def events() -> Events:
    return simulate_events(30, seed=3)


def test_simulation_repeats_and_extends(events) -> None:
    again = simulate_events(30, seed=3)
    assert np.array_equal(again.elements, events.elements)
    assert np.array_equal(again.targets, events.targets)
    first = simulate_events(5, seed=3)
    length = first.elements.shape[1]
    assert np.array_equal(first.elements, events.elements[:5, :length])
    other = simulate_events(30, seed=4)
    assert (
        other.elements.shape != events.elements.shape or (other.elements != events.elements).any()
    )


def test_elements_are_physical(events) -> None:
    there = events.elements[events.present]
    kind, pt, eta, sine, cosine, energy = there[:, :6].T
    assert set(kind) == {TOWER, TRACK}
    assert (pt > 0).all()
    np.testing.assert_allclose(sine**2 + cosine**2, 1, rtol=1e-5)
    np.testing.assert_allclose(energy, pt * np.cosh(eta), rtol=1e-4)
    towers, tracks = there[kind == TOWER], there[kind == TRACK]
    np.testing.assert_allclose(towers[:, 6] + towers[:, 7], towers[:, 5], rtol=1e-5)
    assert not towers[:, 8:].any()
    assert set(tracks[:, 9]) == {-1.0, 1.0}


def test_targets_fit_their_elements(events) -> None:
    there = events.present
    elements, targets = events.elements[there], events.targets[there]
    assert not events.targets[~there].any()
    tracks = elements[:, 0] == TRACK
    assert set(targets[tracks, 0]) <= {1.0, 4.0, 5.0}
    assert set(targets[~tracks, 0]) <= {0.0, 2.0, 3.0}
    assert np.array_equal(targets[tracks, 1], elements[tracks, 9])  # charge
    np.testing.assert_allclose(targets[tracks, 2], elements[tracks, 1], rtol=0.35)  # pt
    real = targets[:, 0] > 0
    np.testing.assert_allclose(targets[real, 4] ** 2 + targets[real, 5] ** 2, 1, rtol=1e-5)
    close = np.hypot(targets[real, 4] - elements[real, 3], targets[real, 5] - elements[real, 4])
    assert np.quantile(close, 0.99) < 0.9
    # Charged particles leave energy too, which belongs to their tracks.
    assert 0.3 < targets[~tracks, 6].sum() / elements[~tracks, 5].sum() < 1.0


def test_resolution_of_neutral_energies(events) -> None:
    """A tower with photons alone measures their energy to 10% / sqrt(E)."""
    there = events.present
    elements, targets = events.elements[there], events.targets[there]
    photons = (targets[:, 0] == 3) & (elements[:, 7] == 0)
    pull = (elements[photons, 5] / targets[photons, 6] - 1) * np.sqrt(targets[photons, 6]) / 0.1
    assert photons.sum() > 50
    assert 0.5 < np.median(np.abs(pull)) / 0.67 < 1.6  # of a normal distribution: 0.67


@pytest.mark.parametrize("name", ["n_events", "n_particles"])
def test_numbers_below_one_are_refused(name) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        simulate_events(**{"n_events": 2, name: 0})


# -- the public data's format ---------------------------------------------------------------


def write(path, content, protocol=pickle.DEFAULT_PROTOCOL):
    data = pickle.dumps(content, protocol)
    path.write_bytes(bz2.compress(data) if path.suffix == ".bz2" else data)
    return path


def as_pickled(events: Events, dtype) -> dict:
    lists = {"X": [], "ygen": [], "ycand": []}
    for elements, targets, there in zip(
        events.elements, events.targets, events.present, strict=True
    ):
        lists["X"].append(elements[there].astype(dtype))
        lists["ygen"].append(targets[there].astype(dtype))
        lists["ycand"].append(targets[there].astype(dtype))
    return lists


@pytest.mark.parametrize("suffix", [".pkl", ".pkl.bz2"])
@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_reads_what_delphes_files_hold(events, tmp_path, suffix, protocol, dtype) -> None:
    path = write(tmp_path / f"tev14{suffix}", as_pickled(events, dtype), protocol)
    read = read_delphes(path)
    assert np.array_equal(read.elements, events.elements)
    assert np.array_equal(read.targets, events.targets)
    assert read_delphes(path, multiple=64).elements.shape[1] % 64 == 0


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_reader_runs_no_code(tmp_path) -> None:
    path = write(tmp_path / "evil.pkl", {"X": Evil(str(tmp_path / "owned"))})
    with pytest.raises(ValueError, match=r"evil.pkl is no file .* posix.mkdir, which is no array"):
        read_delphes(path)
    assert not (tmp_path / "owned").exists()


GOOD = {"X": [np.ones((2, 12))], "ygen": [np.ones((2, 7))]}
BAD = {
    "an event needs elements": {**GOOD, "X": [np.ones((2, 11))]},
    "an event needs elements .* targets": {**GOOD, "ygen": [np.ones((3, 7))]},
    "classes must be whole numbers from 0 to 5": {**GOOD, "ygen": [np.full((2, 7), 7.0)]},
    "numbers must be finite": {**GOOD, "X": [np.full((2, 12), np.nan)]},
    "at least one event": {"X": [], "ygen": []},
    "'ygen'": {"X": []},
}


@pytest.mark.parametrize("message", BAD)
def test_other_content_is_refused(tmp_path, message) -> None:
    path = write(tmp_path / "file.pkl", BAD[message])
    with pytest.raises(ValueError, match=message):
        read_delphes(path)


def test_damaged_and_missing_files(tmp_path) -> None:
    path = tmp_path / "cut.pkl.bz2"
    path.write_bytes(bz2.compress(pickle.dumps(GOOD))[:-20])
    with pytest.raises(ValueError, match="is no file of the Delphes"):
        read_delphes(path)
    with pytest.raises(FileNotFoundError):
        read_delphes(tmp_path / "none.pkl")


# -- hashing ----------------------------------------------------------------------------------


@pytest.fixture
def cloud():
    generator = torch.Generator().manual_seed(0)
    places = torch.randn(3, 32, 4, generator=generator)
    present = torch.arange(32)[None] < torch.tensor([32, 20, 3])[:, None]
    codebook = torch.randn(4, 8, generator=generator)
    return places, present, codebook


def test_bins_hold_every_element_once(cloud) -> None:
    places, present, codebook = cloud
    order = bin_order(places, present, codebook, 8)
    assert torch.equal(order.sort(dim=1).values, torch.arange(32).expand(3, -1))
    binned = into_bins(places, order, 8)
    assert binned.shape == (3, 4, 8, 4)
    assert torch.equal(from_bins(binned, order), places)
    # Missing elements come last.
    sorted_present = into_bins(present[..., None].float(), order, 8).flatten(1)
    assert torch.equal(sorted_present, sorted_present.sort(dim=1, descending=True).values)


def test_close_elements_share_a_bin(cloud) -> None:
    """Four tight groups of eight on different axes end up in four bins, each whole."""
    _, _, codebook = cloud
    axes = torch.tensor([[1.0, 0, 0, 0], [-1, 0, 0, 0], [0, 1, 0, 0], [0, -1, 0, 0]])
    noise = 0.01 * torch.randn(32, 4, generator=torch.Generator().manual_seed(1))
    group = torch.arange(32) % 4
    places = (axes[group] + noise)[None]
    directions = torch.zeros(4, 8)
    directions[0, 0] = directions[1, 1] = 1.0
    order = bin_order(places, torch.ones(1, 32, dtype=torch.bool), directions, 8)
    members = into_bins(group[None, :, None].float(), order, 8)[0, :, :, 0]
    assert (members == members[:, :1]).all()
    assert codebook.shape == directions.shape


def test_bad_bins_are_named(cloud) -> None:
    places, present, codebook = cloud
    with pytest.raises(ValueError, match="n_elements must be a multiple of bin_size=5, got 32"):
        bin_order(places, present, codebook, 5)
    with pytest.raises(ValueError, match="codebook must have at least 16 directions, got 8"):
        bin_order(places, present, codebook, 1)


# -- network and loss -------------------------------------------------------------------------


@pytest.fixture
def network() -> MLPF:
    torch.manual_seed(0)
    return MLPF(SHAPE).eval()


def test_filling_changes_nothing(network) -> None:
    elements = torch.tensor(simulate_events(4, seed=1, n_particles=12).elements)
    with torch.no_grad():
        longer = torch.nn.functional.pad(elements, (0, 0, 0, 9))
        n = elements.shape[1]
        there = elements[..., 0] != 0
        torch.testing.assert_close(network(longer)[:, :n][there], network(elements)[there])


def test_order_of_elements_does_not_matter(network) -> None:
    elements = torch.tensor(simulate_events(4, seed=1, n_particles=12).elements)
    shuffle = torch.randperm(elements.shape[1], generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(network(elements[:, shuffle]), network(elements)[:, shuffle])


def test_messages_stay_in_their_bin() -> None:
    torch.manual_seed(0)
    network = MLPF(Shape(8, 8, 1, 0, 0.0)).eval()
    elements = torch.tensor(simulate_events(1, seed=2).elements).requires_grad_()
    classes = network(elements)[0, 0, :6].sum()
    (gradient,) = torch.autograd.grad(classes, elements)
    touched = int(gradient[0].abs().sum(dim=1).count_nonzero())
    assert 1 < touched <= 8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bin_size": 0}, "bin_size must be at least 1, got 0"),
        ({"n_glayers_id": -1}, "n_glayers_id must be at least 0, got -1"),
        ({"dropout": 1.0}, r"dropout must lie in \[0, 1\), got 1.0"),
    ],
)
def test_bad_shapes_are_named(change, message) -> None:
    values = {n: getattr(SHAPE, n) for n in SHAPE.__dataclass_fields__} | change
    with pytest.raises(ValueError, match=message):
        Shape(**values)


def test_the_truth_has_no_loss(events) -> None:
    targets = torch.tensor(events.targets)
    there = torch.tensor(events.present)[..., None].float()
    logits = 50.0 * torch.nn.functional.one_hot(targets[..., 0].long(), 6)
    answers = torch.cat([logits, targets[..., 1:2], momentum(targets[..., 2:])], dim=-1)
    parts = loss_parts(answers, torch.cat([there, targets], dim=-1))
    assert float(parts.total) < 1e-6
    assert int(parts.correct) == int(parts.n_elements) == int(there.sum())


def test_encoding_is_of_order_one(events) -> None:
    encoded = encode(torch.tensor(events.elements))
    assert encoded.shape[-1] == 16
    assert encoded.abs().max() < 10
