"""The Product component: one declaration becomes a graph of assets."""

from typing import Self

import dagster as dg
from pydantic import BaseModel

from headrace.declaration import ProductDeclaration


class Product(dg.Component):
    """An ML product, from landed files to a monitored model, in one declaration."""

    def __init__(self, declaration: ProductDeclaration) -> None:
        self.declaration = declaration

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """Return what `attributes:` may hold."""
        return ProductDeclaration

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Return the component, with templates such as `{{ env.NAME }}` filled in."""
        if attributes is None:
            raise dg.DagsterInvalidDefinitionError(f"{context.path}: a headrace.Product needs `attributes:`")
        filled = context.resolution_context.resolve_value(attributes.model_dump(by_alias=True, exclude_unset=True))
        return cls(ProductDeclaration.model_validate(filled))

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return the assets, checks, jobs, sensors and schedules of the product."""
        return dg.Definitions()
