"""A project on disk: its root, and the products that are declared in it. Rooms are imported once a declaration is read."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.core.clock import ClockKind
from headrace.core.document import read_document
from headrace.core.errors import DeclarationError
from headrace.core.names import did_you_mean
from headrace.core.place import Place
from headrace.core.positions import position_of
from headrace.workspace import attributes_of, declared_files

if TYPE_CHECKING:
    from headrace.declaration import ProductDeclaration
    from headrace.store.site import Site

EVENTS_AT_ONCE = "1000"


@dataclass(frozen=True)
class Project:
    """The folder with `workspace.yaml`, and what is declared below `platform/products`."""

    root: Path
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False, compare=False)
    """What says where servers are and holds secrets: that of this process, but for a copy that must not reach them."""

    @classmethod
    def around(cls, folder: Path) -> "Project":
        """Return the project that a folder lies in; raises DeclarationError outside of any."""
        for root in (folder.resolve(), *folder.resolve().parents):
            if (root / "workspace.yaml").exists():
                return cls(root)
        raise DeclarationError(
            f"{folder} lies in no project: no workspace.yaml here or above. Start one: headrace init my_platform"
        )

    @property
    def place(self) -> Place:
        """Where the project keeps its things."""
        return Place.of_environment(self.root, self.environment)

    def instance_home(self) -> Path:
        """Return the folder of the project's Dagster instance, made and configured from `dagster.yaml` beside the workspace.

        A DAGSTER_HOME that is set already wins.
        """
        os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", EVENTS_AT_ONCE)
        if os.environ.get("DAGSTER_HOME"):
            return Path(os.environ["DAGSTER_HOME"])
        home = self.place.home / "dagster"
        home.mkdir(parents=True, exist_ok=True)
        settings = self.root / "dagster.yaml"
        if settings.exists():
            shutil.copyfile(settings, home / settings.name)
        os.environ["DAGSTER_HOME"] = str(home)
        return home

    def products(self) -> dict[str, Path]:
        """Return the declaration file of each product."""
        return declared_files(self.root)

    def file_of(self, product: str) -> Path:
        """Return the declaration file of a product; raises DeclarationError where it has none."""
        files = self.products()
        if product not in files:
            raise DeclarationError(
                f"no product '{product}' in {self.root}; there are {', '.join(files)}.{did_you_mean(product, files)}"
            )
        return files[product]

    def clock_of(self, product: str) -> ClockKind:
        """Return which clock a product declares, whatever else it says."""
        said = (attributes_of(read_document(self.file_of(product))) or {}).get("clock")
        return "replay" if said == "replay" else "wall"

    def key_of(self, table: str) -> list[str]:
        """Return the columns that name a row of a table, by the declaration of its product; none where there is none."""
        product, *rest = table.split("/")
        if product not in self.products() or len(rest) != len(("layer", "name")):
            return []
        declared, _ = self.load(product)
        return declared.key_of(rest[0], rest[1])

    def load(self, product: str) -> "tuple[ProductDeclaration, Site]":
        """Return a product's declaration and site; raises DeclarationError with file and line."""
        from headrace.neighbours import declared_product, with_shared
        from headrace.store.site import Site

        file = self.file_of(product)
        declared = declared_product(read_document(file), file)
        site = Site(declared, file.parent, self.place, self.environment)
        try:
            return with_shared(declared, site), site
        except DeclarationError as error:
            if not error.path:
                raise
            raise DeclarationError(f"{position_of(file, ('attributes', *error.path))}: {error}", error.path) from None

    def source(self, named: str) -> "tuple[ProductDeclaration, Site, str]":
        """Return the declaration, the site and the source's name of "<product>.<source>"."""
        product, _, name = named.partition(".")
        declared, site = self.load(product)
        if name not in declared.sources:
            known = ", ".join(declared.sources)
            raise DeclarationError(
                f"no source '{name}' in {product}; there are {known}.{did_you_mean(name, declared.sources)} "
                f"Write <product>.<source>, such as {product}.{next(iter(declared.sources))}"
            )
        return declared, site, name
