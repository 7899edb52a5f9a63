# SPDX-License-Identifier: Apache-2.0
"""The image builder, on the build host: `build(Recipe(kernel=Path("vmlinuz")))`."""

from pykexec.image.builder import Built, build
from pykexec.image.recipe import Recipe
from pykexec.image.sign import SigningKey

__all__ = ["Built", "Recipe", "SigningKey", "build"]
