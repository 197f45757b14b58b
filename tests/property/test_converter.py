"""A label that a template makes of a resource leads back to that resource."""

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from metrics_apiserver.core import converter
from metrics_apiserver.core.converter import ResourceConverter
from metrics_apiserver.core.model import MappedResource
from metrics_apiserver.core.restmapper import RESTMapper

NAMES = st.from_regex(r"[a-z]{1,4}(-[a-z]{1,2})?", fullmatch=True)
GROUPS = st.lists(NAMES, max_size=3).map(".".join)
TEMPLATES = st.sampled_from(
    [
        "<<.Resource>>",
        "kube_<<.Resource>>",
        "<<.Group>>_<<.Resource>>",
        "<<.Resource>>__<<.Group>>",
        "k_<<if .Group>><<.Group>>_<<end>><<.Resource>>_name",
    ]
)


@st.composite
def clusters(draw: st.DrawFn) -> RESTMapper:
    pairs = draw(st.lists(st.tuples(GROUPS, NAMES), min_size=1, max_size=6, unique=True))
    return RESTMapper(
        MappedResource(group, "v1", f"{name}s", name, name.title(), True) for group, name in pairs
    )


@settings(max_examples=60)
@given(clusters(), TEMPLATES)
def test_round_trip(cluster: RESTMapper, template: str) -> None:
    bound = ResourceConverter(converter.compile_mapping(template, ()), cluster)
    labels = {res.group_resource: bound.label_for(res.group_resource) for res in cluster.resources}
    # Without the group in it, or with dots and dashes lost, one label may stand for several.
    assume(len(set(labels.values())) == len(labels))
    for resource, label in labels.items():
        (found,) = bound.resources_for([label])
        assert bound.label_for(found) == label or found == resource


@settings(max_examples=60)
@given(clusters(), TEMPLATES, st.lists(st.text(max_size=12), max_size=5))
def test_any_label_is_read_without_an_error(
    cluster: RESTMapper, template: str, labels: list[str]
) -> None:
    bound = ResourceConverter(converter.compile_mapping(template, ()), cluster)
    for resource in bound.resources_for(labels):
        assert cluster.exact(resource) is not None
