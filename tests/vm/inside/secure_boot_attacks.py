# SPDX-License-Identifier: Apache-2.0
"""What root may try under Secure Boot; prints each attempt's result, or its errno's name."""

import errno
import json
import os
from collections.abc import Callable
from functools import partial

from pykexec._native import ffi, lib
from pykexec.abi import VariableAttribute
from pykexec.efi.efivarfs import EFIVARFS
from pykexec.efi.guid import Guid
from pykexec.efi.variables import (
    Variable,
    VariableName,
    delete_variable,
    global_name,
    list_variables,
    read_variable,
    write_variable,
)

BOOT_SERVICES, PLAIN, AUTHENTICATED = 0x03, 0x07, 0x27
PK, KEK, SECURE_BOOT = (global_name(name) for name in ("PK", "KEK", "SecureBoot"))
DB = VariableName("db", Guid.parse("d719b2cb-3d3a-4596-a3bc-dad00e67656f"))
# edk2's switches, for boot services only: either would give Secure Boot away.
ENABLE = VariableName("SecureBootEnable", Guid.parse("f0a30bc7-af08-4556-99c4-001009c93a44"))
CUSTOM = VariableName("CustomMode", Guid.parse("c076ec0c-7028-4399-a072-71ee5c448b9f"))
OWN = VariableName("PykexecTest", Guid.parse("5b1c0f7e-3c38-4d5e-9a55-706b65786563"))

results: dict[str, object] = {}


def attempt(name: str, step: Callable[[], object]) -> None:
    """Keep what step came to."""
    try:
        results[name] = step()
    except OSError as error:
        results[name] = errno.errorcode[error.errno or errno.EIO]


def replace(name: VariableName, attributes: int) -> str:
    """Write something of our own to name."""
    write_variable(name, Variable(attributes, b"mine"))
    return "written"


def lockdown() -> str:
    """The kernel's lockdown mode."""
    lib.pk_mount(b"securityfs", b"/sys/kernel/security", b"securityfs", 0, ffi.NULL)
    with open("/sys/kernel/security/lockdown", encoding="ascii") as file:
        return file.read().partition("[")[2].partition("]")[0]


def nr_hidden_shown() -> int:
    """How many variables are shown though they lack RUNTIME_ACCESS."""
    shown = [name for name in list_variables() if os.path.getsize(f"{EFIVARFS}/{name}")]
    attributes = [read_variable(name).attributes for name in shown]
    return sum(not word & VariableAttribute.RUNTIME_ACCESS for word in attributes)


guarded = (PK, KEK, DB, SECURE_BOOT)
before = [read_variable(name) for name in guarded]
attempt("lockdown", lockdown)
attempt("own variable", partial(replace, OWN, PLAIN))
for key in guarded:
    attempt(f"{key.name} unsigned", partial(replace, key, AUTHENTICATED))
    attempt(f"{key.name} plain", partial(replace, key, PLAIN))
    attempt(f"{key.name} deleted", partial(delete_variable, key))
for switch in (ENABLE, CUSTOM):
    attempt(f"{switch.name} read", partial(read_variable, switch))
    attempt(f"{switch.name} written", partial(replace, switch, BOOT_SERVICES))
    attempt(f"{switch.name} made ours", partial(replace, switch, PLAIN))
attempt("hidden variables shown", nr_hidden_shown)
results["unchanged"] = [read_variable(name) for name in guarded] == before
print(json.dumps(results))
