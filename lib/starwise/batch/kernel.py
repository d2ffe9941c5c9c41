"""The kernel of a batch run: this very Python, and nothing left of it when the run ends.

papermill.execute_notebook(..., kernel_manager_class=OwnKernel)
"""

import subprocess
import sys
from typing import Any

import zmq
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

# Waits for the end of its input, which comes when the run lets go of it or dies in any way,
# kill -9 included; then it ends the kernel's process group: browsers, crawlers and all.
_GUARD = 'read -r _; kill -KILL -"$0"'


class OwnKernel(AsyncKernelManager):
    """A kernel manager that papermill can use in place of its own.

    It runs the interpreter of this process, whatever `python3` kernel somebody has registered on
    the machine, and takes everything that the kernel started down with it.
    """

    _guard: subprocess.Popen | None = None

    def __init__(self, **settings: Any) -> None:
        settings["transport_encryption"] = "auto" if zmq.has("curve") else "disabled"
        super().__init__(**settings)

    @property
    def kernel_spec(self) -> KernelSpec:
        """This interpreter, speaking with us over encrypted channels."""
        return KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            display_name="Starwise",
            language="python",
            metadata={"supported_encryption": "curve"},
        )

    async def start_kernel(self, **settings: Any) -> None:
        """Start the kernel, and beside it the guard that outlives this process by a moment."""
        await super().start_kernel(**settings)
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, str(self.provisioner.pgid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    async def cleanup_resources(self, restart: bool = False) -> None:
        """Forget the kernel, and end what it may have left running."""
        if self._guard is not None:
            self._guard.communicate()
            self._guard = None
        await super().cleanup_resources(restart=restart)
