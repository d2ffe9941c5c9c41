"""`starwise proxy`: nginx in front of the page, for visitors from everywhere.

starwise proxy --dashboard 127.0.0.1:8866 --dashboard 127.0.0.1:8867 --port 8443

It adds TLS, limits for each address (429 beyond them), and a seat for each visitor: whoever has
opened the page stays with the dashboard that has their kernel. STARWISE_BASE_URL is the page's own
setting, and is read here too. Nothing but Python and nginx has to be installed.
"""

import argparse
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from urllib.request import urlopen

from starwise.dashboard.settings import base_url
from starwise.errors import StarwiseError

TEMPLATE = Path(__file__).parent / "nginx.conf"
ADDRESS = re.compile(r"(?:[\w.-]+|\[[0-9a-fA-F:]+\]):\d{1,5}")

# The kinds of files that the page is made of; Debian's own list is not everywhere the same.
TYPES = """types {
    text/html html; text/css css; application/javascript js; application/json json map;
    image/svg+xml svg; image/png png; font/woff2 woff2; font/woff woff; font/ttf ttf;
}
"""

# Another path than the page's: the root leads to it, everything else is not there.
ELSEWHERE = """
        location = / { return 302 @BASE@; }
        location / { return 404 "There is nothing at this address.\\n"; }
"""


class ProxyError(StarwiseError):
    """The proxy cannot be started as asked."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    given = os.environ.get
    parser.add_argument(
        "--dashboard",
        action="append",
        metavar="HOST:PORT",
        help="a page served by `starwise page`; give it again for more (127.0.0.1:8866)",
    )
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 opens it to other machines")
    parser.add_argument("--port", type=int, default=8443, help="port of https")
    parser.add_argument(
        "--plain-port", type=int, default=8080, help="port of http, which redirects"
    )
    parser.add_argument("--public-port", type=int, help="the port of https as visitors see it")
    parser.add_argument("--name", default="localhost", help="the host in a certificate made here")
    parser.add_argument(
        "--certificate",
        type=Path,
        default=given("STARWISE_CERTIFICATE") or None,
        help="PEM file of the certificate and its chain (default: one made here, for trying)",
    )
    parser.add_argument(
        "--key",
        type=Path,
        default=given("STARWISE_CERTIFICATE_KEY") or None,
        help="PEM file of the certificate's key",
    )
    parser.add_argument("--pages", type=int, default=30, help="pages a minute for each address")
    parser.add_argument("--burst", type=int, default=20, help="pages at once for each address")
    parser.add_argument("--check", action="store_true", help="say whether the running one answers")


def main(args: argparse.Namespace) -> int:
    if args.check:
        return check(args.port)
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if not nginx:
        raise ProxyError("this needs nginx (Debian, Ubuntu: sudo apt-get install nginx-light).")
    # For root, nginx's workers are another user, who must reach this folder.
    with tempfile.TemporaryDirectory(prefix="starwise-proxy-") as folder:
        os.chmod(folder, 0o755)
        certificate, key = certificate_of(args, Path(folder))
        (Path(folder) / "types.conf").write_text(TYPES)
        settings = Path(folder) / "nginx.conf"
        settings.write_text(configuration(args, folder, certificate, key))
        repeat(Path(folder) / "access")
        command = [nginx, "-p", folder, "-c", str(settings), "-g", "daemon off;"]
        process = subprocess.Popen(command)
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        print(f"The page is at https://{args.name}:{args.port}{base_url()}", flush=True)
        try:
            return max(process.wait(), 0)
        except KeyboardInterrupt:
            process.terminate()
            process.wait()
            return 0


def repeat(pipe: Path) -> None:
    """Make a named pipe, and print each line that is written to it.

    nginx opens its log by name, and a user without rights may not open what our output goes to.
    """
    os.mkfifo(pipe, 0o600)
    # Opened for writing, too: so it waits for no writer, and never ends.
    reader = os.fdopen(os.open(pipe, os.O_RDWR), "r", errors="replace")

    def copy() -> None:
        for line in reader:
            print(line, end="", flush=True)

    threading.Thread(target=copy, daemon=True).start()


def configuration(args: argparse.Namespace, folder: str, certificate: Path, key: Path) -> str:
    """Return nginx's settings; raises `ProxyError` for addresses that are none."""
    dashboards = args.dashboard or ["127.0.0.1:8866"]
    for address in dashboards:
        if not ADDRESS.fullmatch(address):
            raise ProxyError(f"--dashboard {address!r} is no address such as 127.0.0.1:8866.")
    if not re.fullmatch(r"[\w.:\[\]-]+", args.host):
        raise ProxyError(f"--host {args.host!r} is no host such as 0.0.0.0.")
    public = args.public_port or args.port
    values = {
        "ELSEWHERE": ELSEWHERE if base_url() != "/" else "",
        "BASE": base_url(),
        "FOLDER": folder,
        "DASHBOARDS": "\n        ".join(f"server {address};" for address in dashboards),
        "HOST": args.host,
        "PORT": args.port,
        "PLAIN_PORT": args.plain_port,
        "PUBLIC_PORT": "" if public == 443 else f":{public}",
        "CERTIFICATE": certificate,
        "KEY": key,
        "PAGES": args.pages,
        "BURST": args.burst,
    }
    text = TEMPLATE.read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    return text


def certificate_of(args: argparse.Namespace, folder: Path) -> tuple[Path, Path]:
    """Return the files of the certificate and its key: those given, or a pair made for a trial."""
    if (args.certificate is None) != (args.key is None):
        raise ProxyError("--certificate and --key go together: give both, or neither.")
    if args.certificate is not None:
        for file in (args.certificate, args.key):
            if not file.is_file() or not os.access(file, os.R_OK):
                raise ProxyError(f"{file} cannot be read: give the PEM files of a certificate.")
        return args.certificate.absolute(), args.key.absolute()
    if not re.fullmatch(r"[A-Za-z0-9.-]+", args.name):
        raise ProxyError(f"--name {args.name!r} is no host name such as reviews.example.")
    print(
        "No certificate is given, so one is made that browsers will warn of: it is for trying.",
        file=sys.stderr,
    )
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "90", "-subj", f"/CN={args.name}",
         "-addext", f"subjectAltName=DNS:{args.name},DNS:localhost,IP:127.0.0.1",
         "-keyout", str(key), "-out", str(certificate)],
        capture_output=True,
    )  # fmt: skip
    if made.returncode:
        raise ProxyError("no certificate could be made: is openssl installed?")
    return certificate, key


def check(port: int) -> int:
    """Return 0 when the page's health is heard through the proxy; for a container's health check.

    The certificate is not looked at: it is for the name that visitors use.
    """
    try:
        context = ssl._create_unverified_context()
        urlopen(f"https://127.0.0.1:{port}{base_url()}health", timeout=4, context=context).close()
    except OSError as error:
        print(f"The proxy does not answer: {error}", file=sys.stderr)
        return 1
    return 0
