"""The one error of labelling."""

from starwise.errors import StarwiseError


class LabelError(StarwiseError):
    """A collection that cannot be labelled, and why."""
