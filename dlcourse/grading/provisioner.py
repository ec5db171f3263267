"""A Jupyter kernel behind the same wall, for whoever wants to run a notebook there with a tool of their own.

``SandboxProvisioner`` is registered in the entry point group ``jupyter_client.kernel_provisioners``; a kernelspec that
names it runs walled in, whatever starts the kernel, over ipc sockets in a folder that it may write. The grader itself
does not start kernels: see ``warm``.
See https://jupyter-client.readthedocs.io/en/stable/provisioning.html.
"""

from __future__ import annotations

from typing import Any

from jupyter_client.provisioning import LocalProvisioner
from traitlets import Dict, Int, List, Unicode

from dlcourse.grading.sandbox import LIBRARY, bwrap_command, environment


class SandboxProvisioner(LocalProvisioner):
    """Starts the kernel of a submission inside bubblewrap. Configured by the kernelspec's metadata."""

    library = Unicode(help="folder with the student's view of dlcourse; goes on PYTHONPATH").tag(config=True)
    read_only = List(Unicode(), help="further folders that the kernel may read").tag(config=True)
    writable = List(Unicode(), help="folders that the kernel may write: its sockets and answers").tag(config=True)
    disk = Int(256 << 20, help="bytes of the private /tmp").tag(config=True)
    variables = Dict(help="further environment variables").tag(config=True)

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        kwargs = await super().pre_launch(**kwargs)
        env = {**environment(LIBRARY), **self.variables}
        kwargs["cmd"] = bwrap_command(
            kwargs["cmd"],
            read_only={self.library: LIBRARY, **{path: path for path in self.read_only}},
            writable=self.writable,
            env=env,
            disk=self.disk,
        )
        # bwrap clears the environment itself; this keeps ours out of its own /proc entry.
        kwargs["env"] = {"PATH": env["PATH"]}
        return kwargs
