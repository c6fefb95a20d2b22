"""What all models of the configuration share."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationInfo, model_validator


class Model(BaseModel):
    """A mapping with known keys. A key without a value counts as left out, as `crons:` with everything commented out.

    The validation context is a dict that learns which model each mapping was read as, for naming its allowed keys.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _leave_out_empty(cls, data: Any, info: ValidationInfo) -> Any:
        if data is None:
            return {}
        if not isinstance(data, dict):
            return data
        cls.remember(data, info)
        return {key: value for key, value in data.items() if value is not None or key not in cls.model_fields}

    @classmethod
    def remember(cls, data: object, info: ValidationInfo) -> None:
        if info.context is not None:
            info.context[id(data)] = cls

    def changed(self, **values: Any) -> Self:
        return self.model_copy(update=values)
