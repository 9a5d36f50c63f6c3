"""A project on disk: its root, and the products that are declared in it."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import ValidationError

from headrace.core.errors import DeclarationError
from headrace.core.names import did_you_mean
from headrace.core.place import Place
from headrace.core.positions import position_of
from headrace.declaration import ProductDeclaration
from headrace.store.site import Site

EVENTS_AT_ONCE = "1000"


@dataclass(frozen=True)
class Project:
    """The folder with `workspace.yaml`, and what is declared below `platform/products`."""

    root: Path

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
        return Place.at(self.root, os.environ.get("HEADRACE_HOME"))

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
        files = sorted((self.root / "platform" / "products").glob("*/defs.yaml"))
        found = {file: yaml.safe_load(file.read_text()) for file in files}
        return {
            text["attributes"]["product"]: file
            for file, text in found.items()
            if isinstance(text, dict)
            and text.get("type", "").startswith("headrace.")
            and "product" in text.get("attributes", {})
        }

    def load(self, product: str) -> tuple[ProductDeclaration, Site]:
        """Return a product's declaration and site; raises DeclarationError with file and line."""
        files = self.products()
        if product not in files:
            raise DeclarationError(
                f"no product '{product}' in {self.root}; there are {', '.join(files)}.{did_you_mean(product, files)}"
            )
        file = files[product]
        try:
            declared = ProductDeclaration.model_validate(yaml.safe_load(file.read_text())["attributes"])
        except ValidationError as error:
            first = error.errors()[0]
            path = tuple(str(part) for part in first["loc"])
            raise DeclarationError(
                f"{position_of(file, ('attributes', *path))}: {'.'.join(path)}: {first['msg']}", path
            ) from None
        return declared, Site(declared, file.parent, self.place, os.environ)
