# SPDX-License-Identifier: Apache-2.0
"""Makes the server's container image from its Debian package: python -m tools.oci DEB INTO

DEB is built on this release of Debian. INTO is a new directory: an OCI image layout. Same packages,
same bytes.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pykexec.errors import PykexecError, ToolError
from pykexec.run import run
from tools.oci import debian, layout
from tools.oci.layer import Owned, pack

# Nobody's on any host: what it may do there is nothing.
USER = 65532
PORT = 8443
OWNED = (Owned("etc/pykexec", USER, 0o750), Owned("var/lib/pykexec", USER, 0o700))


def main(words: list[str]) -> int:
    """Make the image."""
    parser = argparse.ArgumentParser(prog="python -m tools.oci", description=__doc__)
    parser.add_argument("package", type=Path, metavar="DEB")
    parser.add_argument("into", type=Path, metavar="INTO")
    args = parser.parse_args(words)
    try:
        with tempfile.TemporaryDirectory() as name:
            needed = debian.download(debian.runtime(args.package), Path(name, "debs"))
            build(args.package, needed, args.into)
    except (PykexecError, OSError) as error:
        print(f"tools.oci: {error}", file=sys.stderr)
        return 1
    return 0


def build(package: Path, needed: Sequence[Path], into: Path) -> None:
    """The image of the server's package, over the packages that it needs, in the new directory
    into; ToolError, OSError.
    """
    version, python = _field(package, "Version"), _python(package)
    epoch = _made(package)
    into.mkdir(parents=True)
    blobs = layout.blobs(into)
    with tempfile.TemporaryDirectory() as name:
        below, above = Path(name, "below"), Path(name, "above")
        debian.unpack(needed, below)
        debian.settle(below, USER)
        debian.unpack([package], above)
        for path in debian.MERGED:
            (above / path).unlink()
        (above / "var/lib/pykexec").mkdir(parents=True)
        for root in (below, above):
            debian.compile_modules(root, python)
        started = _words(above / "etc/pykexec/server.env")
        layers = [
            pack(below, blobs, f"Debian's {python} and what it needs", epoch),
            pack(above, blobs, package.name, epoch, OWNED),
        ]
    image = layout.Image(
        name=re.sub(r"[^\w.-]", "-", version),
        epoch=epoch,
        user=USER,
        entrypoint=["/usr/bin/pykexec"],
        command=["serve", *started],
        environment={
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            # OpenSSL's own place for them is made by a package that is not here.
            "SSL_CERT_FILE": f"/{debian.CERTIFICATES}",
        },
        volumes=["/etc/pykexec", "/var/lib/pykexec"],
        port=PORT,
        labels={
            "title": "pykexec-server",
            "description": "pykexec attestation server",
            "version": version,
            "licenses": "Apache-2.0",
        },
    )
    layout.write(image, layers, into)


def _field(package: Path, name: str) -> str:
    return run(["dpkg-deb", "--field", package, name]).decode().strip()


def _python(package: Path) -> str:
    (found,) = re.findall(r"\bpython3\.\d+\b", _field(package, "Depends"))
    return str(found)


def _words(settings: Path) -> list[str]:
    """What the unit starts the server with."""
    (found,) = re.findall(r"^PYKEXEC_SERVE=(.*)$", settings.read_text(), re.MULTILINE)
    return str(found).split()


def _made(package: Path) -> int:
    """The moment, in seconds, at which the package says that it was made: deb(5), ar(5)."""
    with open(package, "rb") as file:
        head = file.read(68)
    if not head.startswith(b"!<arch>\ndebian-binary "):
        raise ToolError(f"{package}: is no Debian package")
    return int(head[24:36])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
