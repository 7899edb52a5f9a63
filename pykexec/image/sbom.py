# SPDX-License-Identifier: Apache-2.0
"""The bill of materials of an image: CycloneDX 1.6, of what the builder really put in.

The same image from the same files gives the same bytes: the serial number is derived from the
contents, and there is no time but SOURCE_DATE_EPOCH's.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.component_evidence import ComponentEvidence, Occurrence
from cyclonedx.model.contact import OrganizationalContact, OrganizationalEntity
from cyclonedx.model.license import License
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.spdx import is_supported_id
from packageurl import PackageURL

from pykexec.about import AUTHORS, REPORTS_TO, version
from pykexec.errors import UsageError
from pykexec.image import bzimage, cpio
from pykexec.image.initrd import Addition, Initrd
from pykexec.image.modules import Module
from pykexec.image.owners import Owner, owners

_PACKAGE = Path(__file__).resolve().parent.parent
_NAMESPACE = uuid.UUID("8d4fbd0a-6f0e-5f0b-9c46-0d9f6b0c2a51")
"""Of serial numbers; ours, made once."""

_MODULE_LICENCES = {
    "GPL": "GPL-2.0-only",
    "GPL v2": "GPL-2.0-only",
    "Dual MIT/GPL": "MIT OR GPL-2.0-only",
}
"""What MODULE_LICENSE() means (Linux, Documentation/process/license-rules.rst), where it says it
exactly.
"""


def encode(
    image: bytes, *, kernel: bzimage.Kernel, source: Path, linux: bytes, stub: bytes, initrd: Initrd
) -> bytes:
    """The bill of image, as JSON: linux is the kernel, read from source, the others its parts too.

    UsageError if SOURCE_DATE_EPOCH is no time.
    """
    files = [*{entry.path: entry for entry in initrd.entries if entry.is_file}.values()]
    origins = [entry.origin for entry in files if entry.origin and not _is_ours(entry)]
    known = owners([source, *origins])
    of_kernel = Component(
        name="linux",
        bom_ref="kernel",
        type=ComponentType.OPERATING_SYSTEM,
        version=kernel.version,
        description=kernel.banner,
        hashes=_hashes(linux),
        licenses=_licences("GPL-2.0-only WITH Linux-syscall-note"),
        purl=_purl(known.get(source)),
        supplier=_supplier(known.get(source)),
    )
    of_modules = {
        module.name: _module(entry, module, known)
        for entry in files
        if (module := initrd.modules.get(entry.path))
    }
    others = [entry for entry in files if entry.path not in initrd.modules]
    every = [
        _pykexec([_file(entry) for entry in others if _is_ours(entry)], stub),
        of_kernel,
        *of_modules.values(),
        *_packages([entry for entry in others if not _is_ours(entry)], known),
        *(_addition(number, each) for number, each in enumerate(initrd.additions, 1)),
    ]
    root = Component(
        name="pykexec-image",
        bom_ref="image",
        type=ComponentType.FIRMWARE,
        version=version(),
        hashes=_hashes(image),
    )
    bom = Bom(metadata=BomMetaData(component=root), components=every)
    bom.register_dependency(root, every)
    for module in initrd.modules.values():
        needs = [of_modules[name] for name in module.needs if name in of_modules]
        bom.register_dependency(of_modules[module.name], [of_kernel, *needs])
    return _serialize(bom)


def _serialize(bom: Bom) -> bytes:
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    # The library's are the moment and chance.
    del document["serialNumber"], document["metadata"]["timestamp"]
    if epoch := os.environ.get("SOURCE_DATE_EPOCH"):
        document["metadata"]["timestamp"] = _time(epoch)
    document["serialNumber"] = uuid.uuid5(_NAMESPACE, json.dumps(document, sort_keys=True)).urn
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def _time(epoch: str) -> str:
    try:
        return datetime.fromtimestamp(int(epoch), UTC).isoformat()
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(f"SOURCE_DATE_EPOCH: {epoch!r} is not seconds since 1970") from error


def _pykexec(files: Iterable[Component], stub: bytes) -> Component:
    """Ourselves: the stub, our files in the initramfs, and what is generated there."""
    contact = OrganizationalContact(name=AUTHORS, email=REPORTS_TO)
    of_stub = Component(
        name="stub.efi", bom_ref="stub", type=ComponentType.FILE, hashes=_hashes(stub)
    )
    return Component(
        name="pykexec",
        bom_ref="pykexec",
        type=ComponentType.APPLICATION,
        version=version(),
        licenses=_licences("Apache-2.0"),
        purl=PackageURL("generic", None, "pykexec", version()),
        supplier=OrganizationalEntity(name=AUTHORS, contacts=[contact]),
        components=[of_stub, *files],
    )


def _is_ours(entry: cpio.Entry) -> bool:
    return not entry.origin or entry.origin.is_relative_to(_PACKAGE)


def _packages(files: Iterable[cpio.Entry], known: Mapping[Path, Owner]) -> Iterator[Component]:
    """The packages that files come from, each with its files; those of none, by themselves."""
    by_owner: dict[Owner, list[Component]] = {}
    for entry in files:
        owner = known.get(entry.origin) if entry.origin else None
        if owner:
            by_owner.setdefault(owner, []).append(_file(entry))
        else:
            yield _file(entry)
    for owner, components in by_owner.items():
        programs = [each for each in components if "/bin/" in each.name]
        yield Component(
            name=owner.name,
            bom_ref=owner.purl.to_string(),
            type=ComponentType.APPLICATION if programs else ComponentType.LIBRARY,
            version=owner.version,
            licenses=_licences(owner.licence),
            purl=owner.purl,
            supplier=_supplier(owner),
            components=components,
        )


def _module(entry: cpio.Entry, module: Module, known: Mapping[Path, Owner]) -> Component:
    return Component(
        name=module.name,
        bom_ref=f"module/{module.name}",
        type=ComponentType.DEVICE_DRIVER,
        hashes=_hashes(entry.data),
        licenses=_licences(_MODULE_LICENCES.get(module.licence, module.licence)),
        purl=_purl(known.get(module.source)),
        supplier=_supplier(known.get(module.source)),
        evidence=ComponentEvidence(occurrences=[Occurrence(location=f"/{entry.path}")]),
    )


def _addition(number: int, addition: Addition) -> Component:
    """What the user had added: whole, and file by file where it was a directory."""
    ref = f"added/{number}"
    return Component(
        name=addition.name,
        bom_ref=ref,
        type=ComponentType.FILE,
        hashes=_hashes(addition.data),
        components=[_file(entry, ref) for entry in addition.entries if entry.is_file],
    )


def _file(entry: cpio.Entry, prefix: str = "initramfs") -> Component:
    path = f"/{entry.path}"
    return Component(
        name=path,
        bom_ref=prefix + path,
        type=ComponentType.FILE,
        hashes=_hashes(entry.data),
    )


def _hashes(data: bytes) -> list[HashType]:
    return [HashType(alg=HashAlgorithm.SHA_256, content=hashlib.sha256(data).hexdigest())]


def _licences(text: str) -> list[License]:
    """As an identifier or expression of SPDX where it is one; "GPL" alone would pass for one."""
    factory = LicenseFactory()
    if is_supported_id(text) or re.search(" (AND|OR|WITH) ", text):
        return [factory.make_from_string(text)]
    return [factory.make_with_name(text)] if text else []


def _supplier(owner: Owner | None) -> OrganizationalEntity | None:
    return OrganizationalEntity(name=owner.supplier) if owner and owner.supplier else None


def _purl(owner: Owner | None) -> PackageURL | None:
    return owner.purl if owner else None
