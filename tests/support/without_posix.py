"""What a process looks like to our packages where there is no POSIX, as on Windows.

Imported first in a process: the modules and names that Windows lacks are gone then. The libraries
that we use are imported before, since they have code of their own for Windows, which asks for
`sys.platform`.
"""

from __future__ import annotations

import asyncio
import concurrent.futures.process
import importlib
import multiprocessing.reduction
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from multiprocessing import popen_spawn_posix, resource_tracker

STANDARD = (asyncio, concurrent.futures.process, subprocess, tempfile, popen_spawn_posix)
LIBRARIES = (
    "numpy",
    "scipy.stats",
    "sklearn.svm",
    "joblib",
    "numba",
    "dimod",
    "click",
    "rich.live",
)
MODULES = (
    *("fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty"),
    *("multiprocessing.popen_fork", "multiprocessing.popen_forkserver"),
)
EXTRAS = ("torch", "torchvision", "distributed", "dask", "ray", "mpi4py", "optuna", "mlflow")
SIGNALS = (
    *("SIGALRM", "SIGCHLD", "SIGCONT", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGQUIT", "SIGSTOP"),
    *("SIGTSTP", "SIGUSR1", "SIGUSR2", "SIGXCPU", "SIG_BLOCK", "SIG_SETMASK", "SIG_UNBLOCK"),
    *("alarm", "pthread_kill", "pthread_sigmask", "setitimer", "sigpending", "sigwait"),
)
CALLS = (
    *("chown", "chroot", "confstr", "ctermid", "fchmod", "fchown", "fdatasync", "fork", "forkpty"),
    *("getegid", "geteuid", "getgid", "getgroups", "getloadavg", "getpgid", "getpgrp"),
    *("getpriority", "getresuid", "getsid", "getuid", "getxattr", "killpg", "lchown", "lockf"),
    *("mkfifo", "mknod", "nice", "openpty", "pathconf", "pipe2", "posix_fadvise", "posix_spawn"),
    *("pread", "pwrite", "register_at_fork", "sched_getaffinity", "sched_yield", "sendfile"),
    *("setgid", "setpgid", "setpriority", "setsid", "setuid", "setxattr", "statvfs", "sync"),
    *("sysconf", "ttyname", "uname", "wait", "wait3", "wait4", "waitid"),
    *("O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "WEXITSTATUS", "WIFEXITED", "WNOHANG"),
)


def remove_posix() -> None:
    """Remove what Windows does not have, and the extras, which ask for names of POSIX."""
    for library in LIBRARIES:
        importlib.import_module(library)
    resource_tracker.ensure_running = None  # there is none on Windows
    shutil._use_fd_functions = False
    multiprocessing.reduction.HAVE_SEND_HANDLE = False  # hence no "forkserver"
    for name in (*MODULES, *EXTRAS):
        sys.modules[name] = None  # type: ignore[assignment]
    for module, names in ((os, CALLS), (signal, SIGNALS), (socket, ("AF_UNIX",))):
        for name in names:
            if hasattr(module, name):
                delattr(module, name)


remove_posix()
