"""A segment named by a request: its feature, and the check that it is one of the model's."""

from __future__ import annotations

from modelwatch.errors import FieldError, InvalidInput, excerpt
from modelwatch.stats.segments.segmentation import Segmentation, SegmentFeature

MOST_NAMED = 10


def segment_feature_of(segmentation: Segmentation, text: str, pointer: str = "/segment") -> SegmentFeature:
    """The feature that a segment, such as `country=DE`, belongs to.

    Raises InvalidInput when the model has no such segment.
    """
    feature = segmentation.feature_of(text)
    if feature is not None and text in feature.texts:
        return feature
    if feature is not None:
        named = ", ".join(feature.texts[:MOST_NAMED])
        more = ", …" if len(feature.texts) > MOST_NAMED else ""
        expected = f"Expected one of {named}{more}"
    elif segmentation:
        expected = f"Expected a segment by {', '.join(each.feature for each in segmentation.features)}"
    else:
        expected = "The model has no segments: name features under `segments` in its monitor; they need references"
    raise InvalidInput("There is no such segment.", (FieldError(pointer, expected, excerpt(text)),))
