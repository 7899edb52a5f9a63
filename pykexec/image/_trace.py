# SPDX-License-Identifier: Apache-2.0
"""Run by the interpreter that is shipped (-I -S): which files do modules need when they are
imported?

Arguments: the modules, separated by commas; those that must not be found, so that what is traced is
what their absence leads to. Output: a line for each module that was loaded from a file, name, tab,
file. Nothing is imported here but sys, which has no file: it would be traced too.
"""

import sys

for name in sys.argv[2].split(","):
    sys.modules[name] = None  # type: ignore[assignment]
for name in sys.argv[1].split(","):
    __import__(name)
for name, module in sorted(sys.modules.items()):
    file = getattr(module, "__file__", None)
    if file and name != "__main__":
        print(name, file, sep="\t")
