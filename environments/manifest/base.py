"""What all models of the configuration share."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationInfo, model_validator

from .values import wrong


@dataclass
class Context:
    """What one reading remembers and counts."""

    models: dict[int, type["Model"]] = field(default_factory=dict)  # id of a mapping -> what it was read as
    patterns: int = 0
    pattern_text: int = 0


class Model(BaseModel):
    """A mapping with known keys. A key without a value counts as left out, as `crons:` with everything commented out.

    The validation context learns which model each mapping was read as, for naming its allowed keys.
    """

    max_entries: ClassVar[int] = 1000

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _leave_out_empty(cls, data: Any, info: ValidationInfo) -> Any:
        if data is None:
            return {}
        if not isinstance(data, dict):
            return data
        cls.remember(data, info)
        for key in data.keys() & cls.model_fields.keys():
            if isinstance(data[key], dict | list) and len(data[key]) > cls.max_entries:
                raise wrong(f'There are too many entries in "{key}".', f"up to {cls.max_entries}", (key,))
        return {key: value for key, value in data.items() if value is not None or key not in cls.model_fields}

    @classmethod
    def remember(cls, data: object, info: ValidationInfo) -> None:
        if info.context is not None:
            info.context.models[id(data)] = cls

    def changed(self, **values: Any) -> Self:
        return self.model_copy(update=values)
