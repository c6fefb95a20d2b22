from typing import Any

from django import forms

from environments import names


class ProjectForm(forms.Form):
    title = forms.CharField(label="Name", max_length=80, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    source = forms.ChoiceField(choices=[("starter", "From a template"), ("git", "From a Git URL")], initial="starter")
    starter = forms.CharField(required=False, max_length=80)
    url = forms.CharField(
        label="Git URL",
        required=False,
        max_length=1000,
        widget=forms.TextInput(
            attrs={
                "class": "input-mono",
                "placeholder": "https://git.example.com/team/shop.git",
                "autocomplete": "off",
                "spellcheck": "false",
            }
        ),
    )

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        if given.get("source") == "git" and not given.get("url"):
            self.add_error("url", "Give the URL of the repository, beginning with https:// or ssh://.")
        if given.get("source") == "starter" and not given.get("starter"):
            self.add_error("starter", "Choose a template.")
        return given


BEGIN = [("copy", "A copy of its parent's data"), ("empty", "Begin empty")]


class JoinForm(forms.Form):
    """How a merge or a synchronization is done. `seen`: the commit that the preview was of."""

    how = forms.CharField(max_length=10, required=False)
    seen = forms.RegexField(r"[0-9a-f]{40}\Z", required=False)
    delete = forms.BooleanField(required=False)


class BranchForm(forms.Form):
    parent = forms.ChoiceField(label="From")
    branch = forms.CharField(
        label="Branch name",
        max_length=names.MAX_BRANCH_BYTES,
        widget=forms.TextInput(
            attrs={
                "class": "input-mono",
                "autocomplete": "off",
                "spellcheck": "false",
                "placeholder": "checkout-redesign",
            }
        ),
    )
    title = forms.CharField(
        label="Title", required=False, max_length=names.MAX_BRANCH_BYTES, help_text="Empty: the branch name."
    )
    activate = forms.BooleanField(label="Activate it at once", required=False, initial=True)
    begin = forms.ChoiceField(choices=BEGIN, required=False, initial="copy")

    def __init__(self, *args: Any, parents: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["parent"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = parents


class ConfirmForm(forms.Form):
    """The environment's name, typed: nobody destroys by a slip of the hand."""

    name = forms.CharField(max_length=200, widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}))

    def __init__(self, *args: Any, expected: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.expected = expected
        self.fields["name"].label = f"Type {expected} to confirm"
        self.fields["name"].widget.attrs["data-confirm"] = expected

    def clean_name(self) -> str:
        typed: str = self.cleaned_data["name"].strip()
        if typed != self.expected:
            raise forms.ValidationError(f"That is not its name. Type {self.expected} exactly.")
        return typed


def tell(form: forms.Form, field: str | None, message: str) -> None:
    """Put what an action refused beside its field, or above the form when the form has no such field."""
    form.add_error(field if field in form.fields else None, message)
