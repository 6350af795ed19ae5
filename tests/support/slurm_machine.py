"""Slurm on one machine: its daemons with a configuration of their own on free ports.

They come from Debian's packages (``apt install slurmctld slurmd slurm-client``). A Slurm of this
machine is not touched.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

from waiting import wait_until

DAEMONS = ("slurmctld", "slurmd", "sbatch")
MISSING = [name for name in DAEMONS if shutil.which(name) is None]

CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
AuthInfo=cred_expire=5
CredType=cred/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0
SelectType=select/cons_res
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool/%n
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd-%n.pid
{nodes}
PartitionName=all Nodes={names} Default=YES MaxTime=INFINITE State=UP
"""


class Slurm:
    """A controller, a daemon for each node, and the commands that talk to them.

    Parameters
    ----------
    root : Path
        Folder of the daemons' files.
    environment : dict[str, str]
        Environment of the jobs.
    nodes : int, default=1
        Number of nodes. All of them are this machine, as far as Slurm knows.
    """

    def __init__(self, root: Path, environment: dict[str, str], nodes: int = 1) -> None:
        self.root = root
        names = [f"n{number}" for number in range(nodes)]
        for name in ("state", *(f"spool/{name}" for name in names)):
            (root / name).mkdir(parents=True)
        configuration = root / "slurm.conf"
        host = socket.gethostname().partition(".")[0]
        ports = _free_ports(1 + nodes)
        lines = [
            f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=8 "
            "RealMemory=4000 State=UNKNOWN"
            for name, port in zip(names, ports[1:], strict=True)
        ]
        configuration.write_text(
            CONFIGURATION.format(
                host=host, root=root, ports=ports, nodes="\n".join(lines), names=",".join(names)
            )
        )
        self.environment = {
            **environment,
            "SLURM_CONF": str(configuration),
            "OMPI_ALLOW_RUN_AS_ROOT": "1",
            "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
            "OMPI_MCA_rmaps_base_oversubscribe": "1",
            "OMPI_MCA_btl_vader_single_copy_mechanism": "none",
        }
        self._daemons = [self._start("slurmctld")]
        self._daemons += [self._start("slurmd", "-N", name) for name in names]
        wait_until(
            lambda: self.ask("sinfo", "-h", "-N", "-o", "%t").split() == ["idle"] * nodes,
            "the nodes to be idle",
        )

    def _start(self, name: str, *options: str) -> subprocess.Popen[bytes]:
        with (self.root / f"{'-'.join([name, *options[1:]])}.log").open("wb") as log:
            return subprocess.Popen(
                [name, "-D", *options], env=self.environment, stdout=log, stderr=log
            )

    def ask(self, *command: str) -> str:
        """Return what a command prints; nothing where it fails, as before the daemons are up."""
        done = subprocess.run(
            command, env=self.environment, text=True, capture_output=True, check=False, timeout=60
        )
        return done.stdout

    def batch(self, *options: str, command: str) -> str:
        """Submit a job; return its number."""
        script = f"--wrap={command}"
        answer = self.ask("sbatch", "--parsable", f"--chdir={self.root}", *options, script)
        assert answer.strip(), (self.root / "slurmctld.log").read_text()
        return answer.strip()

    def submit(self, folder: Path, script: Path) -> str:
        """Submit a script in its folder; return the number of the job."""
        answer = self.ask("sbatch", "--parsable", f"--chdir={folder}", str(script))
        assert answer.strip(), (self.root / "slurmctld.log").read_text()
        return answer.strip()

    def over(self, job: str) -> bool:
        return self.ask("squeue", "-h", "-j", job, "-o", "%T").strip() == ""

    def close(self) -> None:
        self.ask("scancel", "--signal=KILL", "--state=RUNNING", "--user=root")
        self.ask("scancel", "--user=root")
        for daemon in reversed(self._daemons):
            daemon.terminate()
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def _free_ports(count: int) -> list[int]:
    holders = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [holder.getsockname()[1] for holder in holders]
    for holder in holders:
        holder.close()
    return ports
