"""How a lattice is cut, what is refused, and who is who in the environments of launchers."""

import pytest
import torch

from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.fields.part import Single
from l2hmc_bridge.ranks.grid import Grid, chosen
from l2hmc_bridge.ranks.launch import is_beside, launch
from l2hmc_bridge.ranks.world import joined

LATTICE = (32, 16, 16, 16)  # t, x, y, z


def auto(size, lattice=LATTICE, halo=1, even=False):
    return str(chosen("auto", lattice, size, halo, even))


def test_auto_takes_the_least_surface():
    assert auto(1) == "1,1,1,1"
    assert auto(2) == "1,1,1,2"
    assert auto(8) == "1,1,1,8"  # as much as 1,1,2,4, with fewer neighbours
    assert auto(16) == "2,1,1,8"
    assert auto(2, (8, 8, 8, 24)) == "1,1,2,1"
    assert auto(3, (8, 12, 8, 8)) == "3,1,1,1"


@pytest.mark.parametrize(("asked", "size", "halo", "even", "message"), [
    ("1,1,1,2", 4, 1, False, "expected a grid of 4 ranks"),
    ("1,1,1", 2, 1, False, "expected X,Y,Z,T or auto"),
    ("1,1,1,0", 2, 1, False, "expected X,Y,Z,T or auto"),
    ("1,1,1,x", 2, 1, False, "expected X,Y,Z,T or auto"),
    ("3,1,1,1", 3, 1, False, "along x that divides 16, found 3"),
    ("1,16,1,1", 16, 1, False, "parts of at least 2 sites along y, found 1"),
    ("1,1,8,1", 8, 3, False, "parts of at least 3 sites along z, found 2"),
    ("auto", 7, 1, False, "a number of processes that can share the lattice 16,16,16,32"),
])
def test_grids_that_do_not_fit_are_refused_by_name(asked, size, halo, even, message):
    with pytest.raises(ConfigError, match=message):
        chosen(asked, LATTICE, size, halo, even)


def test_more_sites_than_a_rank_counts_exactly_are_refused():
    large = (256, 128, 128, 128)
    assert auto(4, large) == "1,1,1,4"
    for asked, message in (("1,1,1,2", r"at most 3 x 2\^26 sites on each rank, found more"),
                           ("auto", r"and at most 3 x 2\^26 sites")):
        with pytest.raises(ConfigError, match=message):
            chosen(asked, large, 2, 1, False)


def test_chains_spread_over_groups_of_equally_many():
    def of(asked, size, chains):
        return str(chosen(asked, LATTICE, size, 1, False, chains))

    assert of("1,1,1,2", 2, 4) == "1,1,1,2"  # all chains on one grid
    assert of("1,1,1,2", 4, 4) == of("1,1,1,2", 8, 4) == "1,1,1,2"
    assert of("1,1,1,1", 3, 3) == "1,1,1,1"
    assert of("auto", 4, 4) == "1,1,1,4"
    assert of("auto", 7, 7) == "1,1,1,1"  # no grid of seven fits
    for asked, size, chains, message in (
            ("1,1,1,2", 6, 4, r"expected 2 or 4 or 8 processes \(1,1,1,2 for each of equal groups "
             r"of the 4 chains\), found 6"),
            ("1,1,1,2", 3, 2, "expected 2 or 4 processes"),
            ("1,1,1,4", 2, 2, "expected 4 or 8 processes"),
            ("auto", 7, 2, "a number of processes that can share the lattice")):
        with pytest.raises(ConfigError, match=message):
            of(asked, size, chains)


def test_parity_masks_need_even_parts():
    chosen("1,1,1,2", (10, 4, 4, 4), 2, 2, False)
    with pytest.raises(ConfigError, match="even extent along t"):
        chosen("1,1,1,2", (10, 4, 4, 4), 2, 2, True)


def test_parts_cover_the_lattice_once_and_neighbours_meet():
    grid = Grid((2, 1, 4, 2))
    parts = [grid.part(LATTICE, rank, 2, Single()) for rank in range(grid.size)]
    assert len({part.origin for part in parts}) == grid.size
    assert all(part.extents == (16, 16, 4, 8) and part.halo == (2, 0, 2, 2) for part in parts)
    for rank in range(grid.size):
        for mu in range(4):
            there = grid.beside(rank, mu, 1)
            assert grid.beside(there, mu, -1) == rank
            ahead = (parts[rank].origin[mu] + parts[rank].extents[mu]) % LATTICE[mu]
            assert parts[there].origin[mu] == ahead


def test_launchers_are_known_by_their_environment():
    told = {"RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "host", "MASTER_PORT": "7"}
    assert launch(told) == (1, 4, "host", 7, False)
    open_mpi = {"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "2",
                "OMPI_COMM_WORLD_LOCAL_SIZE": "2", "PMIX_NAMESPACE": "prterun-host-77@1"}
    assert launch(open_mpi) == (0, 2, "127.0.0.1", 20000 + 771, False)
    srun = {"SLURM_PROCID": "3", "SLURM_NTASKS": "8", "SLURM_JOB_ID": "123456",
            "SLURM_LAUNCH_NODE_IPADDR": "10.0.0.1"}
    assert launch(srun) == (3, 8, "10.0.0.1", 20000 + 123456 % 12000, False)
    step = {**srun, "SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_ID": "2", "SLURM_NNODES": "3",
            "SLURM_NODELIST": "a1,n[01-03]", "SLURM_STEP_NODELIST": "n[02-03,07],a1",
            "ENVIRONMENT": "BATCH"}
    assert launch(step) == (3, 4, "n02", 20000 + 1234562 % 12000, False)
    assert launch({**step, "SLURM_STEP_NUM_NODES": "1"}).address == "127.0.0.1"
    racks = {**srun, "SLURM_NODELIST": "r[1-2]n[3,5]x"}
    assert launch(racks).address == "r1n3x"
    assert launch({**racks, **told}) == (1, 4, "host", 7, False)
    assert is_beside({**srun, **told}) and not is_beside({**srun, **told, "RANK": "0"})
    assert launch({"PMI_RANK": "1", "PMI_SIZE": "2", "MPI_LOCALNRANKS": "2"}).size == 2
    assert is_beside(srun) and not is_beside(open_mpi) and not is_beside({})


def test_environments_that_tell_too_little_are_refused():
    for told, message in (({}, "expected several processes, found one"),
                          ({"RANK": "x", "WORLD_SIZE": "2"}, "WORLD_SIZE|RANK: expected a whole"),
                          ({"PMI_RANK": "1", "PMI_SIZE": "2"}, "MASTER_ADDR: expected"),
                          ({"SLURM_PROCID": "0", "SLURM_NTASKS": "2"}, "MASTER_ADDR: expected"),
                          ({"SLURM_PROCID": "2", "SLURM_NTASKS": "2"},
                           "SLURM_PROCID: expected a rank below SLURM_NTASKS, 2, found 2"),
                          ({"SLURM_PROCID": "0", "SLURM_NTASKS": "2", "ENVIRONMENT": "BATCH"},
                           "found the script of the job"),
                          ({"SLURM_NTASKS": "2"}, "expected several processes, found one")):
        with pytest.raises(ConfigError, match=message):
            launch(told)


def test_without_gloo_ranks_are_refused(monkeypatch):
    monkeypatch.setattr(torch.distributed, "is_gloo_available", lambda: False)
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_WORLD_SIZE", "1")):
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="expected torch.distributed with gloo"), joined():
        pass
